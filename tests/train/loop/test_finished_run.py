"""A run that has ended is opened again: what it is judged by, and what can't be opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.checkpoint import checkpoints
from train.loop.finished_run import evaluate_run, open_run
from train.loop.fit import StopRequest, fit


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    """A run of six steps."""
    out = tmp_path_factory.mktemp("whole")
    config = parse_config(TrainConfig, a_tree(drawn, out), source="test")
    return fit(config, process_from_environment("cpu"), StopRequest()), out


def test_evaluating_a_run_later_gives_the_scores_it_ended_with(whole):
    outcome, out = whole

    scores, checkpoint = evaluate_run(out, process_from_environment("cpu"))

    assert checkpoint.name == "step-00000006" and scores.flat() == outcome.scores


def test_a_run_sharded_over_ranks_is_evaluated_in_one_process(whole, tmp_path):
    outcome, out = whole
    sharded = tmp_path / "sharded"
    shutil.copytree(out, sharded)
    settings = yaml.safe_load((sharded / "config.yaml").read_text())
    settings["loop"]["strategy"] = "fsdp2"
    (sharded / "config.yaml").write_text(yaml.safe_dump(settings))

    scores, _ = evaluate_run(sharded, process_from_environment("cpu"))

    assert scores.flat() == outcome.scores


def test_a_runs_folder_its_checkpoint_and_the_yaml_that_names_it_open_the_same(whole, tmp_path):
    _, out = whole
    newest = checkpoints(out)[-1]
    (tmp_path / "run.yaml").write_text((out / "config.yaml").read_text())

    opened = [open_run(target, process_from_environment("cpu")) for target in (out, newest, tmp_path / "run.yaml")]

    assert {(run.folder, run.checkpoint) for run in opened} == {(out, newest)}
    assert json.loads((out / "summary.json").read_text())["scores"]["n_clips"] == len(opened[0].val)


def test_a_run_whose_manifest_is_not_found_from_here_says_so(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^out/manifest.json: .*relative to the current folder.*--set data.manifest="):
        open_run(whole[1], process_from_environment("cpu"), overrides=["data.manifest=out/manifest.json"])
    with pytest.raises(UserError, match="out/nothing: no such folder"):
        open_run(Path("out/nothing"), process_from_environment("cpu"))


def test_a_run_without_held_out_clips_is_one_message(whole):
    with pytest.raises(UserError, match="has no split 'nowhere' to evaluate on; it has train, val"):
        open_run(whole[1], process_from_environment("cpu"), overrides=["data.val_split=nowhere"])
