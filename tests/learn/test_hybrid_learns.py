"""High resolution is learned: on every processor, hybrid finds what neither of its halves can show alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.learning.attribute_set import make_attribute_set
from bench.learning.hybrid_vs_low import CEILINGS, train
from train.evaluation.scores import wilson_interval

pytestmark = [pytest.mark.slow, pytest.mark.learn, pytest.mark.long, pytest.mark.timeout(2400)]

N_COLOURS, PER_CAPTION = 2, 10
SHORT = ["loop.steps=320", "eval.every=0"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attributes")
    make_attribute_set(out, per_caption=PER_CAPTION, n_colours=N_COLOURS)
    return out / "manifest.json"


@pytest.mark.parametrize(("capability", "threads", "seed"), [("default", 1, 0), ("avx2", 2, 1), ("", 1, 2), ("", 2, 0)])
def test_hybrid_beats_both_of_its_halves(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: str, threads: int, seed: int
) -> None:
    if capability:
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
    keys = [*SHORT, f"loop.threads={threads}"]
    lines = {view: train(view, seed, manifest, tmp_path, keys) for view in ("hybrid", "high", "low")}

    r1 = {view: wilson_interval(line["r1"], line["n"]) for view, line in lines.items()}
    assert r1["hybrid"][0] > CEILINGS["low"], r1
    assert r1["hybrid"][0] > max(r1["high"][1], r1["low"][1]), r1
    # Each half learns what it shows and guesses the rest.
    for view, shown, hidden in (("high", "hatching", "way"), ("low", "way", "hatching")):
        right, n = lines[view]["right"], lines[view]["n"]
        assert wilson_interval(right[shown], n)[0] > wilson_interval(right[hidden], n)[1], lines[view]
