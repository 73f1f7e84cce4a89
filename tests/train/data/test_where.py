"""Training on some of the samples, and on some more often: `data.where`, `data.sample_weight`."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from hdvila_testing.drawn_set import a_sample, a_tree, write_manifest, write_shard
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from manifests.shards import read_manifest
from tests.train.data.loaders import SMALL, a_loader
from train.check import check_data
from train.config import TrainConfig
from train.data.index import load_index
from train.data.where import chosen
from train.distributed import process_from_environment
from train.feed.batches import open_data
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics

N = 12


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Twelve clips in three shards: clip k moves by k / 10, every third is profane, that of clip 5 isn't known."""
    root = tmp_path_factory.mktemp("set")
    samples = []
    for k in range(N):
        sample = a_sample(f"video{k:03d}", 0, shape=SMALL)
        document = json.loads(sample.members["json"])
        document |= {"motion": -1.0 if k == 5 else k / 10, "flags": json.dumps(["profanity"] if k % 3 == 0 else [])}
        samples.append(replace(sample, members={**sample.members, "json": json.dumps(document).encode()}))
    entries = [
        write_shard(root / f"shards/train/{n:05d}.tar", samples[4 * n : 4 * n + 4], "train", root) for n in range(3)
    ]
    return write_manifest(root, entries)


def configured(manifest, tmp_path, **data):
    return parse_config(TrainConfig, a_tree(manifest, tmp_path / "run", data=data), source="test")


def index_of(manifest, tmp_path, **data):
    config = configured(manifest, tmp_path, **data)
    return chosen(load_index(read_manifest(str(manifest)), "train"), config.data, tmp_path / "index")


def numbers(index):
    return [int(key[5:8]) for key in index.keys.to_pylist()]


def test_samples_are_chosen_by_what_was_recorded_and_the_unknown_is_left_out(manifest, tmp_path):
    index = index_of(manifest, tmp_path, where="motion > .2 and not flags.profanity")

    assert numbers(index) == [4, 7, 8, 10, 11]
    assert numbers(index_of(manifest, tmp_path, where="motion is null")) == [5]
    again = index_of(manifest, tmp_path, where="motion > .2 and not flags.profanity")
    assert again.fingerprint() == index.fingerprint() != index_of(manifest, tmp_path, where="motion > 0").fingerprint()


def test_a_condition_that_all_meet_changes_neither_order_nor_fingerprint(manifest, tmp_path):
    process = process_from_environment("cpu")
    plain = open_data(configured(manifest, tmp_path), tmp_path / "a", process)
    same = open_data(configured(manifest, tmp_path, where="duration_ms > 0"), tmp_path / "b", process)

    assert same.train.fingerprint() == plain.train.fingerprint()
    assert [same.stream[s : s + 5].tolist() for s in range(0, 60, 5)] == [
        plain.stream[s : s + 5].tolist() for s in range(0, 60, 5)
    ]


def test_chosen_samples_are_the_same_with_other_workers_from_a_step_on(manifest, tmp_path):
    index = index_of(manifest, tmp_path, where="motion > .2", sample_weight="case when motion > .8 then 2.5 else 1 end")
    whole = [loaded.keys for loaded in a_loader(index, workers=0).steps(0, 8)]

    assert [loaded.keys for loaded in a_loader(index, workers=2).steps(3, 8)] == whole[3:]
    assert {key for keys in whole for key in keys} == set(index.keys.to_pylist())


@pytest.mark.slow
def test_a_run_that_goes_on_without_its_index_has_the_same_losses(manifest, tmp_path):
    choice = {"where": "motion > .2", "sample_weight": "case when motion > .8 then 2.5 else 1 end"}

    def losses(name, steps):
        sections = {"loop": {"steps": steps}, "optim": {"schedule": "constant", "warmup": 0.0}}
        tree = a_tree(manifest, tmp_path / name, data=choice, **sections)
        fit(parse_config(TrainConfig, tree, source="test"), process_from_environment("cpu"), StopRequest())
        return {r["step"]: r["loss"] for r in read_metrics(tmp_path / name) if r["kind"] == "step"}

    whole = losses("whole", 4)
    losses("parts", 2)
    shutil.rmtree(tmp_path / "parts/index")  # as on a fresh node
    assert losses("parts", 4) == whole and len(whole) == 4


def test_samples_come_as_often_as_their_weights_say(manifest, tmp_path):
    index = index_of(manifest, tmp_path, sample_weight="motion")  # 0 and the unknown do not come at all
    stream = open_data(
        configured(manifest, tmp_path, sample_weight="motion"), tmp_path / "run", process_from_environment("cpu")
    ).stream

    assert numbers(index) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    n_epochs = 200
    read = np.concatenate([stream.order(epoch)[0 : stream.epoch_length()] for epoch in range(n_epochs)])
    counts = np.bincount(read, minlength=len(index)) / n_epochs
    for category in np.unique(index.category):
        of_it = index.category == category
        wanted = index.weight[of_it] * round(index.weight[of_it].sum()) / index.weight[of_it].sum()
        assert counts[of_it] == pytest.approx(wanted, abs=0.02)


def test_keys_in_a_file_are_left_out(manifest, tmp_path):
    listed = tmp_path / "bad.txt"
    listed.write_text("video001_00000\n" + json.dumps({"key": "video010_00000", "reason": "no frame"}) + "\n")

    assert numbers(index_of(manifest, tmp_path, where=f"key not in file('{listed}')")) == [0, *range(2, 10), 11]
    with pytest.raises(UserError, match=r"gone\.txt: cannot be read"):
        index_of(manifest, tmp_path, where="key not in file('gone.txt')")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"where": "motion > 7"}, r"'motion > 7': 0 of 12 samples are chosen, 1 of which nothing is known"),
        ({"where": "moton > 7"}, r"data\.where: 'moton > 7' cannot be evaluated: .*motion"),
        ({"sample_weight": "motion - 1"}, r"data\.sample_weight: is -1 for video000_00000; weights are 0 or more"),
        ({"sample_weight": "1000 * motion"}, r"less than 1000"),
    ],
)
def test_a_wrong_choice_is_refused_with_one_line(manifest, tmp_path, data, message):
    with pytest.raises(UserError, match=message) as refused:
        index_of(manifest, tmp_path, **data)
    assert "\n" not in str(refused.value)


def test_streaming_and_folders_of_videos_are_not_chosen_from(manifest, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.where: needs data\.manifest.*planned"):
        configured(manifest, tmp_path, where="true", order="streaming")


def test_shards_of_an_older_version_have_no_such_columns_and_the_cure_is_said(manifest, tmp_path):
    copy = tmp_path / "older"
    copy.mkdir()
    for path in manifest.parent.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(manifest.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for path in copy.rglob("0*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns(["motion", "flags", "language"]), path)

    assert numbers(index_of(copy / "manifest.json", tmp_path, where="duration_ms > 0")) == list(range(N))
    with pytest.raises(UserError, match=r"12 of which nothing is known.*reshard"):
        index_of(copy / "manifest.json", tmp_path, where="motion > 0")


def test_check_counts_what_is_chosen_and_names_flags_that_nobody_has(manifest, tmp_path):
    report = check_data(configured(manifest, tmp_path, where="motion > .2 and not flags.boilerplat"))

    assert not report.problems and report.splits[0].n_clips == 8
    (note,) = [note for note in report.notes if "chosen" in note]
    assert re.search(
        r"8 of 12 samples are chosen, 1 of which nothing is known.*no sample has the flag boilerplat", note
    )

    wrong = check_data(configured(manifest, tmp_path, where="motion >"))
    assert ["train: data.where: 'motion >' cannot be evaluated" in problem for problem in wrong.problems] == [True]
