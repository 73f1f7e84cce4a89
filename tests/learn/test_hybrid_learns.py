"""High resolution is learned: in one short run a view, hybrid finds what neither of its halves can show alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.learning.attribute_set import make_attribute_set
from bench.learning.hybrid_vs_low import CEILINGS, train

pytestmark = [pytest.mark.slow, pytest.mark.learn, pytest.mark.timeout(2400)]

N_COLOURS, PER_CAPTION = 2, 10
SHORT = ["loop.steps=240", "eval.every=0"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attributes")
    make_attribute_set(out, per_caption=PER_CAPTION, n_colours=N_COLOURS)
    return out / "manifest.json"


def test_hybrid_beats_both_of_its_halves(manifest, tmp_path):
    lines = {view: train(view, 0, manifest, tmp_path, SHORT) for view in ("hybrid", "high", "low")}

    r1 = {view: line["r1"] for view, line in lines.items()}
    assert r1["hybrid"] > 2 * CEILINGS["low"], r1
    assert r1["hybrid"] > max(r1["high"], r1["low"]), r1
    # Each half learns what it shows and guesses the rest: chance is a quarter, with 32 clips to be judged by.
    assert lines["high"]["right"]["hatching"] > 0.6 > lines["high"]["right"]["way"], lines
    assert lines["low"]["right"]["way"] > 0.6 > lines["low"]["right"]["hatching"], lines
