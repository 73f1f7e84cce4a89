"""What `hdvila-train check` finds in a data set before a run is started."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from hdvila_testing.drawn_set import Scene, Shape, a_sample, write_manifest, write_shard
from hdvila_testing.shards import a_data_set
from manifests.exits import ExitCode
from train.check import check_data, plain_config
from train.cli import app

SMALL = Shape(width=160, height=96, n_frames=20, first_frame=1, n_stills=3)


def report_on(manifest, *keys, **asked):
    return check_data(plain_config([f"data.manifest={manifest}", *keys]), **asked)


@pytest.fixture
def copied(drawn, tmp_path):
    """A data set of one's own to damage."""
    shutil.copytree(drawn.parent, tmp_path / "set")
    return tmp_path / "set" / "manifest.json"


def test_a_sound_set_has_no_problem_and_its_numbers_are_its_clips(drawn):
    report = report_on(drawn, "data.stride=3")

    assert not report.problems
    train, val = report.splits
    assert (train.split, train.n_clips, train.n_shards, train.n_seen) == ("train", 13, 4, 4)
    assert (val.split, val.n_clips, val.n_shards) == ("val", 5, 2)
    assert train.n_loaded == 7  # two of each shard, one of the last, which holds one
    assert train.samples_per_s > 0 and train.bytes_per_sample > 1000


def test_a_damaged_sample_a_shard_that_is_gone_and_empty_captions_are_problems(copied):
    shard = copied.parent / "shards/train/00001.tar"
    data = bytearray(shard.read_bytes())
    data[600:] = bytes(len(data) - 600)
    shard.write_bytes(data)
    (copied.parent / "shards/train/00002.tar").unlink()

    report = report_on(copied)

    assert any("00001.tar" in problem for problem in report.problems)
    assert any("00002.tar" in problem for problem in report.problems)
    assert not any("00000.tar" in problem for problem in report.problems)


def test_an_index_file_that_is_not_the_manifests_is_a_problem(tmp_path):
    a_data_set(tmp_path, n_videos=3)
    for index in (tmp_path / "index").iterdir():
        index.write_bytes(index.read_bytes()[:-8])

    problems = report_on(tmp_path, n_samples=1).problems

    assert any("index of train: cannot be used" in p and "is not the manifest's" in p for p in problems)


def test_a_sample_that_does_not_decode_is_named_with_its_reason(tmp_path):
    sound, broken = (a_sample(f"video{n}", 0, Scene(), SMALL) for n in range(2))
    broken.members["m4v"] = b"not a video"
    entry = write_shard(tmp_path / "shards/train/00000.tar", [sound, broken], "train", tmp_path)

    report = report_on(write_manifest(tmp_path, [entry]))

    assert [p for p in report.problems if broken.key in p and "cannot be decoded" in p]
    assert not [p for p in report.problems if sound.key in p]
    assert any("no split 'val'" in note for note in report.notes)


def test_a_video_in_two_splits_is_a_problem(tmp_path):
    entries = [
        write_shard(tmp_path / f"shards/{split}/00000.tar", [a_sample("video", n, Scene(), SMALL)], split, tmp_path)
        for n, split in enumerate(("train", "val"))
    ]

    assert report_on(write_manifest(tmp_path, entries)).problems == ["1 videos are in both train and val: video"]


def test_where_time_is_over_the_report_says_how_many_shards_were_seen(drawn):
    report = report_on(drawn, seconds=1e-9)

    assert [split.n_seen for split in report.splits] == [1, 1]
    assert any("1 of 4 shards were seen" in note for note in report.notes)


def test_the_command_prints_the_report_and_ends_with_1_where_there_is_a_problem(copied):
    sound = CliRunner().invoke(app, ["check", str(copied.parent), "--set", "data.stride=3"])
    assert sound.exit_code == 0, sound.output
    assert "no problem found" in sound.output and "samples/s a worker" in sound.output

    (copied.parent / "shards/val/00000.tar").unlink()
    damaged = CliRunner().invoke(app, ["check", str(copied), "--json"])
    assert damaged.exit_code == ExitCode.INCOMPLETE
    assert "00000.tar" in json.loads(damaged.stdout)["problems"][0]
