"""On a data set that is still being made a run stays on the manifest that it pinned, or grows at an epoch's start."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hdvila_testing.drawn_set import Scene, Shape, a_sample, a_tree, write_dataset, write_shard
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from manifests.shards import PUBLISHED, lineage, read_manifest
from pipeline.config.shards import CardConfig
from pipeline.engine.store.store import Store
from pipeline.shards.manifest import publish
from tests.train.loop.test_fit import StopAfter, losses, run
from tests.train.test_resume import finish, killed_after, start, written
from train.config import TrainConfig
from train.loop.checkpoint import checkpoints, read_facts

TINY = Shape(width=160, height=96, n_frames=16, first_frame=1, n_stills=3)
STEPS = {"loop": {"steps": 8}, "checkpoint": {"every": 3}}
GROWING = {**STEPS, "data": {"grow": True}}


def published(root: Path, more: int = 0) -> str:
    """Publish the data set at `root` as the pipeline does, with one more shard of so many clips; its sha256."""
    entries = list(read_manifest(str(root)).shards)
    if not (root / PUBLISHED).exists():
        (root / "manifest.json").unlink()  # drawn, not published: no parent
    if more:
        name = f"{len(entries):05d}"
        samples = [a_sample(f"more{name}{v}", 0, Scene(shade=100 + v), TINY, 10) for v in range(more)]
        made = write_shard(root / "shards" / "train" / f"{name}.tar", samples, "train", root)
        entries.append(replace(made, generation=1 + entries[-1].generation))
    created_at = f"at {len(entries)} shards"
    return publish(Store(str(root)), entries, {"name": "drawn"}, CardConfig(), created_at=created_at).sha256


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    """Two published shards of 5 and 4 clips: 9 an epoch, so that step 2 (from 0) reads the first of the next."""
    root = tmp_path_factory.mktemp("young")
    write_dataset(root, videos=9, shard_size=5, shape=TINY)
    published(root)
    return root


@pytest.fixture
def root(young, tmp_path):
    """A copy that a test may let grow."""
    return Path(shutil.copytree(young, tmp_path / "set"))


def taken(out: Path) -> list[str]:
    return [epoch["manifest_sha256"] for epoch in json.loads((out / "epochs.json").read_text())]


def test_a_run_resumes_on_its_own_manifest_when_the_data_set_has_grown(root, tmp_path, caplog):
    run(root, tmp_path / "whole", **STEPS)
    run(root, tmp_path / "cut", StopAfter(tmp_path / "cut", 4), **STEPS)
    pinned, newer, newest = read_manifest(str(root)).sha256, published(root, more=6), published(root, more=2)
    assert list(lineage(read_manifest(str(root)))) == [newer, pinned] and newest not in (newer, pinned)

    with caplog.at_level(logging.WARNING, logger="hdvila"):
        run(root, tmp_path / "cut", **STEPS)

    assert "the index is made of the shards' rows" not in caplog.text, "it still has its own"
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole") and len(losses(tmp_path / "cut")) == 8
    facts = read_facts(checkpoints(tmp_path / "cut")[-1])
    assert facts.epochs == [{"epoch": 0, "first_step": 0, "manifest_sha256": pinned}]


def test_a_pinned_manifest_that_is_gone_is_named(root, tmp_path):
    run(root, tmp_path / "run", StopAfter(tmp_path / "run", 2), **STEPS)
    pinned = read_manifest(str(root)).sha256
    published(root, more=6)
    (root / PUBLISHED / f"{pinned}.json").unlink()

    with pytest.raises(UserError, match=rf"step-00000002 was trained on .*was {pinned[:12]}.*not kept beside it"):
        run(root, tmp_path / "run", **STEPS)


def test_growing_changes_nothing_while_the_data_set_does_not_grow(root, tmp_path):
    run(root, tmp_path / "pinned", **STEPS)
    run(root, tmp_path / "growing", **GROWING)

    assert losses(tmp_path / "growing") == losses(tmp_path / "pinned")
    assert len(taken(tmp_path / "growing")) == 4 and len(set(taken(tmp_path / "growing"))) == 1


class GrowsAfter(StopAfter):
    """Publishes a larger data set once the run has done a step, and never stops it."""

    def __init__(self, out, step, root):
        super().__init__(out, step)
        self.root, self.newer = root, ""

    def is_due(self):
        if not self.newer and len(losses(self.out)) >= self.step:
            self.newer = published(self.root, more=6)
        return False


def test_a_run_grows_at_an_epochs_start_and_killed_anywhere_takes_the_same(root, tmp_path):
    young, whole = read_manifest(str(root)).sha256, tmp_path / "whole"
    growth = GrowsAfter(whole, 4, root)
    run(root, whole, growth, **GROWING)
    # Nine clips an epoch: epochs begin at steps 0, 3 and 5; 15 from there, so that 8 steps end before the next.
    assert taken(whole) == [young, young, growth.newer]
    assert read_facts(checkpoints(whole)[-1]).epochs == json.loads((whole / "epochs.json").read_text())

    # Killed in the grown epoch with a checkpoint from before it (step 3), while a still larger set was published.
    for step in (3, 6):
        cut = Path(shutil.copytree(whole, tmp_path / f"cut-{step}"))
        for checkpoint in checkpoints(cut):
            if read_facts(checkpoint).step > step:
                shutil.rmtree(checkpoint)
        published(root, more=7)
        run(root, cut, **GROWING)
        assert losses(cut) == losses(whole) and len(losses(cut)) == 8
        assert taken(cut) == taken(whole)


def test_a_manifest_that_does_not_descend_is_passed_over_and_said(root, tmp_path, capsys):
    run(root, tmp_path / "run", StopAfter(tmp_path / "run", 2), **GROWING)
    pinned = read_manifest(str(root)).sha256
    document = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps({**document, "name": "another"}))

    run(root, tmp_path / "run", **GROWING)

    assert set(taken(tmp_path / "run")) == {pinned}
    assert f"does not descend from manifest {pinned[:12]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"loop": {"steps": 0, "epochs": 2}}, r"data\.grow: .*give loop\.steps"),
        ({"data": {"grow": True, "order": "streaming"}}, r"data\.grow: .*order: planned"),
    ],
)
def test_what_cannot_grow_is_refused(tmp_path, sections, message):
    tree = a_tree(tmp_path, tmp_path / "run", **{"data": {"grow": True}, **sections})

    with pytest.raises(ConfigError, match=message):
        parse_config(TrainConfig, tree, source="test")


@pytest.mark.slow
def test_two_ranks_killed_in_a_grown_epoch_go_on_with_the_same_batches(root, tmp_path):
    still = {**GROWING, "model": {"dropout": 0.0, "drop_path": 0.0}, "loop": {"steps": 8, "strategy": "ddp"}}
    run(root, tmp_path / "first", StopAfter(tmp_path / "first", 2), **still)
    published(root, more=6)
    shutil.copytree(tmp_path / "first", tmp_path / "whole")
    run(root, tmp_path / "whole", **still)

    out, log = tmp_path / "first", tmp_path / "log"
    config = written(tmp_path, root, "first", **still)
    killed_after(config, out, 5, world=2, log=log)
    finish(start(config, world=2, log=log), log)

    assert taken(out) == taken(tmp_path / "whole") and len(set(taken(out))) == 2
    assert losses(out) == pytest.approx(losses(tmp_path / "whole"), abs=1e-4)
