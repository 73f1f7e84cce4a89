"""`hdvila-train crossfit`: each clip is scored by a model that did not see its video, whatever stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from hdvila_testing.drawn_set import Shape, a_tree, write_dataset
from manifests.embeddings import read_embedded, read_head
from manifests.errors import UserError
from manifests.files import Files
from manifests.settings import load_config
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.crossfit import score_halves, train_halves
from train.data.index import load_index
from train.data.where import choose, chosen
from train.distributed import process_from_environment
from train.loop.fit import StopRequest

SHAPE = Shape(width=160, height=96, n_frames=12, first_frame=1, n_stills=3)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A data set of 20 clips of 10 videos in two splits, the YAML of a run, and what cross-fitting makes of it."""
    root = tmp_path_factory.mktemp("crossfit")
    write_dataset(root / "set", videos=7, clips=2, val_videos=3, shard_size=5, shape=SHAPE)
    tree = a_tree(root / "set/manifest.json", root / "unused", data={"where": "duration_ms > 0"})
    (root / "train.yaml").write_text(yaml.safe_dump(tree))
    done(root, root / "one")
    return root


def done(here, out, **changes):
    config = load_config(TrainConfig, here / "train.yaml", [f"{key}={value}" for key, value in changes.items()])
    process = process_from_environment("cpu")
    assert train_halves(config, str(out), process, StopRequest())
    return score_halves(config, str(out), process, batch=4, sentences=6)


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for name in ("by-0", "by-1", "scores")
        for path in sorted((folder / name).glob("*.*"))
    }


def keys_in(here, folder):
    manifest, files = read_manifest(str(here / "set")), Files(str(folder))
    head = read_head(files)
    return [key for shard in manifest.shards for key in read_embedded(files, head, shard).rows["key"].to_pylist()]


def test_every_clip_is_scored_by_the_model_that_did_not_see_its_video(here):
    manifest = read_manifest(str(here / "set"))
    all_keys = [key for split in ("train", "val") for key in load_index(manifest, split).keys.to_pylist()]
    by = [keys_in(here, here / f"one/by-{k}") for k in (0, 1)]

    assert sorted(by[0] + by[1]) == sorted(all_keys) and keys_in(here, here / "one/scores") == all_keys
    for k in (0, 1):
        run = load_config(TrainConfig, here / f"one/half-{k}/config.yaml")
        seen = chosen(load_index(manifest, "train"), run.data, here / "index").keys.to_pylist()
        assert len(seen) >= 2 and not {key[:-6] for key in seen} & {key[:-6] for key in by[k]}


def test_the_scores_choose_what_a_run_trains_on(here):
    found = json.loads((here / "one/crossfit.json").read_text())
    where = (here / "one/where.txt").read_text().strip()
    keys = [f"data.scores={here}/one/scores", f"data.where={where} and match < 0"]
    config = load_config(TrainConfig, here / "train.yaml", keys)

    index = chosen(load_index(read_manifest(str(here / "set")), "train"), config.data, here / "index")

    assert len(index) == found["n_kept"] <= found["n_samples"] == 14
    assert where == found["where"] and where.startswith("(duration_ms > 0)") == ("match" in where)


def test_the_weights_leave_nothing_out(here):
    weight = (here / "one/weight.txt").read_text().strip()
    keys = [f"data.scores={here}/one/scores", f"data.sample_weight={weight}"]
    config = load_config(TrainConfig, here / "train.yaml", keys)

    weights = choose(load_index(read_manifest(str(here / "set")), "train"), config.data).weights

    assert len(weights) == 14 and ((weights > 0) & (weights <= 1)).all()


@pytest.mark.long
def test_a_killed_cross_fit_goes_on_and_ends_with_the_same_bytes(here):
    out = here / "killed"
    words = ["crossfit", here / "train.yaml", "--out", out, "--batch", 4, "--sentences", 6]
    process = subprocess.Popen([sys.executable, "-m", "train.cli", *map(str, words)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not list(out.glob("half-0/checkpoints/step-*/.metadata")):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "crossfit.json").exists()

    done(here, out)
    assert files_of(out) == files_of(here / "one")


def test_what_is_missing_of_a_cross_fit_is_made_again(here):
    out = Path(shutil.copytree(here / "one", here / "spoilt"))
    (out / "by-1/train-00001.parquet").unlink()
    shutil.rmtree(out / "scores")
    (out / "crossfit.json").unlink()

    found = done(here, out)

    assert files_of(out) == files_of(here / "one") and np.isfinite(found.mixture.right.mean)


def test_another_data_set_or_seed_is_not_mixed_with_what_is_there(here):
    with pytest.raises(UserError, match="another configuration"):
        done(here, here / "one", seed=3)
