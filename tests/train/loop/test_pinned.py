"""A run stays on the manifest of its first step, while the data set that it reads is still being made."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from hdvila_testing.drawn_set import Scene, Shape, a_sample, write_dataset, write_shard
from manifests.errors import UserError
from manifests.shards import PUBLISHED, read_manifest
from pipeline.config.shards import CardConfig
from pipeline.engine.store.store import Store
from pipeline.shards.manifest import publish
from tests.train.loop.test_fit import StopAfter, losses, run
from train.loop.checkpoint import checkpoints, read_facts

TINY = Shape(width=160, height=96, n_frames=16, first_frame=1, n_stills=3)
STEPS = {"loop": {"steps": 6}, "checkpoint": {"every": 3}}


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


def test_a_run_goes_on_with_its_own_manifest_when_the_data_set_has_grown(tmp_path, caplog):
    root, out = tmp_path / "set", tmp_path / "cut"
    write_dataset(root, videos=9, shard_size=5, shape=TINY)
    pinned = published(root)
    run(root, tmp_path / "whole", **STEPS)
    run(root, out, StopAfter(out, 4), **STEPS)
    assert published(root, more=6) != pinned == read_facts(checkpoints(out)[-1]).manifest_sha256

    with caplog.at_level(logging.WARNING, logger="hdvila"):
        run(root, out, **STEPS)

    assert "the index is made of the shards' rows" not in caplog.text, "it still has its own"
    assert losses(out) == losses(tmp_path / "whole") and len(losses(out)) == 6

    (root / PUBLISHED / f"{pinned}.json").unlink()
    with pytest.raises(UserError, match=rf"step-00000006 was trained on .*was {pinned[:12]}.*not kept beside it"):
        run(root, out, **STEPS)
