"""A run in one process: it learns, says what it does, resumes exactly, and stops with one clear message."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
import yaml

from hdvila_testing.drawn_set import Shape, a_tree, write_dataset
from manifests.errors import UserError
from manifests.settings import parse_config
from train.config import TrainConfig
from train.data.read import Reader
from train.distributed import process_from_environment
from train.evaluation.scores import wilson_interval
from train.exports.export import export_run
from train.loop import objective
from train.loop.checkpoint import checkpoints
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics
from train.loop.run_folder import held

TINY = Shape(width=160, height=96, n_frames=16, first_frame=1, n_stills=3)


def run(manifest, out, stop=None, **sections):
    config = parse_config(TrainConfig, a_tree(manifest, out, **sections), source="test")
    return fit(config, process_from_environment("cpu"), stop or StopRequest())


def losses(out):
    return {r["step"]: r["loss"] for r in read_metrics(out) if r["kind"] == "step"}


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    """An undisturbed run of six steps."""
    out = tmp_path_factory.mktemp("whole")
    return run(drawn, out), out


def test_a_run_leaves_its_config_metrics_checkpoints_and_scores(whole):
    outcome, out = whole

    assert outcome.status == "finished" and outcome.step == 6
    assert [p.name for p in checkpoints(out)] == ["step-00000002", "step-00000004", "step-00000006"]
    steps = [r for r in read_metrics(out) if r["kind"] == "step"]
    assert [r["step"] for r in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[0]["flops_source"].startswith("counted") and steps[0]["flops_per_step"] > 0
    assert all(0 <= r["data_wait_share"] <= 1 and r["peak_memory_bytes"] > 0 for r in steps)
    assert json.loads((out / "summary.json").read_text())["scores"]["t2v_chance_r1"] == pytest.approx(0.2)


def test_a_run_that_is_finished_does_nothing_more(whole, drawn):
    outcome = run(drawn, whole[1])

    assert outcome == whole[0]


class StopAfter(StopRequest):
    """Asks for a stop once the metrics hold so many steps."""

    def __init__(self, out, step):
        super().__init__()
        self.out, self.step = out, step

    def is_due(self):
        return len(losses(self.out)) >= self.step


def test_a_stop_and_a_resume_change_no_bit(whole, drawn, tmp_path):
    out = tmp_path / "run"

    stopped = run(drawn, out, StopAfter(out, 3))
    mark = json.loads((out / "requeue").read_text())
    finished = run(drawn, out)

    assert (stopped.status, stopped.step) == ("stopped", 3)
    assert mark == {"step": 3, "n_steps": 6} and not (out / "requeue").exists(), "a mark until it is taken up"
    assert finished.status == "finished" and finished.scores == whole[0].scores
    assert losses(out) == losses(whole[1])
    assert same_tensors(checkpoints(out)[-1], checkpoints(whole[1])[-1])


def same_tensors(one, other):
    files = sorted(p.name for p in one.glob("*.distcp"))
    return files and all((one / f).read_bytes() == (other / f).read_bytes() for f in files)


@pytest.mark.slow
def test_a_runs_first_step_and_no_other_holds_the_cached_passes_against_each_other(drawn, tmp_path, monkeypatch):
    checked = []

    def backward(*given, check=False):
        checked.append(check)
        return objective.backward(*given, check=check)

    monkeypatch.setattr("train.loop.fit.backward", backward)
    run(drawn, tmp_path / "run", StopAfter(tmp_path / "run", 2), loop={"micro_batch": 2})
    assert checked == [True, False]

    run(drawn, tmp_path / "run", StopAfter(tmp_path / "run", 4), loop={"micro_batch": 2})
    assert checked == [True, False, True, False]


def test_cached_gradients_give_the_losses_of_the_whole_batch(drawn, tmp_path):
    still = {"dropout": 0.0, "drop_path": 0.0}
    run(drawn, tmp_path / "whole", model=still, loop={"steps": 3})
    run(drawn, tmp_path / "cached", model=still, loop={"micro_batch": 1, "steps": 3})

    pairs = zip(losses(tmp_path / "whole").values(), losses(tmp_path / "cached").values(), strict=True)
    assert all(a == pytest.approx(b, abs=2e-5) for a, b in pairs)


@pytest.mark.parametrize("freeze", [True, False])
def test_stage_two_trains_masked_language_modelling(drawn, tmp_path, freeze):
    contrastive = 0.0 if freeze else 1.0
    model = {"stage": 2, "freeze_stage1": freeze}
    settings = {"model": model, "objective": {"mlm": 1.0, "contrastive": contrastive}}
    run(drawn, tmp_path / "a", loop={"steps": 2}, **settings)
    run(drawn, tmp_path / "b", loop={"steps": 1, "micro_batch": 2}, **settings)

    assert len(losses(tmp_path / "a")) == 2
    assert losses(tmp_path / "a")[1] == pytest.approx(losses(tmp_path / "b")[1], rel=0.2)  # dropout differs


def test_the_loss_falls_in_ten_steps(drawn, tmp_path):
    still = {"dropout": 0.0, "drop_path": 0.0}
    run(drawn, tmp_path / "run", model=still, optim={"lr": 5e-3}, loop={"steps": 10, "batch": 12}, eval={"every": 0})

    found = losses(tmp_path / "run")
    assert found[10] < 0.9 * found[1]


@pytest.mark.long
def test_the_model_learns_what_drawn_clips_show(tmp_path):
    manifest = write_dataset(tmp_path / "data", videos=8, val_videos=8, shard_size=8, shape=TINY)

    outcome = run(
        manifest,
        tmp_path / "run",
        model={"dropout": 0.0, "drop_path": 0.0},
        optim={"lr": 5e-3, "warmup": 0.1, "schedule": "cosine"},
        loop={"steps": 80, "batch": 8},
        checkpoint={"every": 0},
    )

    least, _ = wilson_interval(outcome.scores["t2v_r1"], 8)
    assert least > 1 / 8, "chance"


def test_another_identity_in_the_same_folder_is_refused_by_name(whole, drawn):
    with pytest.raises(UserError, match=r"loop\.batch: 4 there, 6 here"):
        run(drawn, whole[1], loop={"batch": 6})


def test_a_changed_manifest_is_refused(drawn, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(drawn.parent, root)
    run(root / "manifest.json", tmp_path / "run", loop={"steps": 2}, checkpoint={"every": 1})
    shutil.rmtree(checkpoints(tmp_path / "run")[-1])
    (root / "manifest.json").write_text((root / "manifest.json").read_text() + "\n")

    with pytest.raises(UserError, match=r"is not the manifest that .*step-00000001 was trained on"):
        run(root / "manifest.json", tmp_path / "run", loop={"steps": 2}, checkpoint={"every": 1})


def test_unreadable_shards_are_skipped_up_to_the_limit_and_named_past_it(drawn, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(drawn.parent, root)
    os.truncate(root / "shards" / "train" / "00001.tar", 1000)

    run(root, tmp_path / "a", data={"max_bad_shards": 1})
    with pytest.raises(UserError, match=r"1 unreadable shard, more than[\s\S]*00001\.tar: ends at byte"):
        run(root, tmp_path / "b")

    lost = [json.loads(line) for line in (tmp_path / "a" / "lost.jsonl").read_text().splitlines()]
    assert {x["shard"].rpartition("/")[2] for x in lost} == {"00001.tar"}
    assert read_metrics(tmp_path / "a")[-2]["lost"] == len(lost)


def test_a_shard_that_is_away_for_a_while_is_not_counted_for_good(drawn, tmp_path, monkeypatch):
    """Two of four, one after the other, where one at a time may: a read of each is refused and given up.

    Only the thread that reads ahead is refused: the main one asks, beside it, how stills are named. A copy, since the
    thread of a run before that stopped with an error may still be reading."""
    shutil.copytree(drawn.parent, tmp_path / "data")
    once, read, away = Reader._once, [], []

    def refused(reader, url, start, stop):
        shard = Path(url).name
        if str(tmp_path) not in url or threading.current_thread() is threading.main_thread():
            return once(reader, url, start, stop)
        read.append(shard)
        if (len(read) == 2 or len(read) > 16) and len(away) < 2 and shard not in away:
            away.append(shard)
            raise OSError("slow down")
        return once(reader, url, start, stop)

    monkeypatch.setattr(Reader, "_once", refused)
    monkeypatch.setattr("train.data.read.RETRY_AFTER_S", ())

    outcome = run(tmp_path / "data", tmp_path / "run", data={"max_bad_shards": 1}, loop={"steps": 10})

    assert outcome.status == "finished"
    lost = [json.loads(line) for line in (tmp_path / "run" / "lost.jsonl").read_text().splitlines()]
    assert len(away) == 2 and [Path(x["shard"]).name for x in lost] == away


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"manifest": "/nowhere/manifest.json"}}, "no such file"),
        ({"data": {"split": "test"}}, "no shard of split 'test'"),
        ({"data": {"val_split": "test"}}, "has no split 'test' to evaluate on; it has train, val"),
        ({"data": {"weights": {"Musik": 2}}}, "no such category; did you mean Music"),
        ({"data": {"tokenizer": "/nowhere"}}, "/nowhere"),
        ({"loop": {"strategy": "fsdp2"}}, "torchrun"),
        ({"loop": {"batch": 4000}}, r"loop\.batch=4000 is more than the \d+ clips of an epoch: a batch would hold"),
        ({"data": {"order": "streaming", "workers": 9}}, "4 shards cannot feed 1 ranks x 9 workers"),
    ],
)
def test_what_cannot_work_is_one_message(drawn, tmp_path, sections, message):
    with pytest.raises(UserError, match=message):
        run(drawn, tmp_path / "run", **sections)


def test_a_set_without_held_out_clips_trains_and_says_that_there_will_be_no_scores(tmp_path, capsys):
    manifest = write_dataset(tmp_path / "data", videos=4, shape=TINY)

    assert run(manifest, tmp_path / "run", loop={"steps": 1}).scores == {}
    assert "has no split 'val' to evaluate on; it has train\n" in capsys.readouterr().out


def test_streaming_trains_too(drawn, tmp_path):
    outcome = run(drawn, tmp_path / "run", data={"order": "streaming", "workers": 1}, loop={"steps": 2})

    assert outcome.step == 2


def test_tensorboard_gets_the_same_numbers(drawn, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(drawn, tmp_path / "run", observe={"tensorboard": True}, loop={"steps": 2})

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    found = {e.step: e.value for e in events.Scalars("loss")}
    assert found == pytest.approx(losses(tmp_path / "run"), rel=1e-6)
    assert torch.isfinite(torch.tensor(events.Scalars("val/t2v_r1")[0].value))


def test_no_key_of_a_store_is_written_down(drawn, tmp_path):
    options = {
        "key": "PLANTED-1",
        "secret": "PLANTED-2",
        "token": "PLANTED-3",
        "endpoint_url": "https://user:PLANTED-4@store.example",
        "client_kwargs": {"aws_secret_access_key": "PLANTED-5", "region_name": "eu-west-1"},
    }
    run(drawn, tmp_path / "run", data={"storage_options": options}, loop={"steps": 2}, observe={"tensorboard": True})
    export_run(tmp_path / "run", tmp_path / "export")

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [path for path in files if b"PLANTED" in path.read_bytes()]
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["data"]["storage_options"]
    assert kept == {"endpoint_url": "https://store.example", "client_kwargs": {"region_name": "eu-west-1"}}
    assert run(drawn, tmp_path / "run", data={"storage_options": options}, loop={"steps": 2}).status == "finished"


def test_a_folder_that_is_being_trained_is_refused(drawn, tmp_path):
    refusal = rf"is being trained by process {os.getpid()} on "
    with held(tmp_path / "run", process_from_environment("cpu")), pytest.raises(UserError, match=refusal):
        run(drawn, tmp_path / "run")
    assert run(drawn, tmp_path / "run", loop={"steps": 1}).status == "finished"


def test_a_finished_run_can_be_lengthened_and_an_unfinished_one_cannot(drawn, tmp_path):
    steady = {"optim": {"lr": 1e-3, "schedule": "constant", "warmup": 0.0}}
    run(drawn, tmp_path / "long", loop={"steps": 4}, **steady)
    run(drawn, tmp_path / "run", loop={"steps": 2}, **steady)

    run(drawn, tmp_path / "run", StopAfter(tmp_path / "run", 3), loop={"steps": 4}, **steady)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["step"], summary["scores_step"]) == (3, 2), "scores are older than a step without evaluation"
    assert run(drawn, tmp_path / "run", loop={"steps": 4}, **steady).scores_step == 4
    assert losses(tmp_path / "run") == losses(tmp_path / "long")
    with pytest.raises(UserError, match=r"loop\.steps: 4 there, 3 here"):
        run(drawn, tmp_path / "run", loop={"steps": 3}, **steady)
    run(drawn, tmp_path / "cut", StopAfter(tmp_path / "cut", 1), loop={"steps": 2}, **steady)
    with pytest.raises(UserError, match=r"loop\.steps: 2 there, 4 here"):
        run(drawn, tmp_path / "cut", loop={"steps": 4}, **steady)
