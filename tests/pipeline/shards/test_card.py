"""The card and croissant.json: read by the libraries they are written for."""

import json
from pathlib import Path

import mlcroissant
import pytest
import yaml

from pipeline.config.shards import CardConfig
from pipeline.shards.card import dataset_card
from pipeline.testing.shards import a_data_set


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=5)
    return folder


def _card(made: Path, **config) -> str:
    head = json.loads((made / "manifest.json").read_text())
    return dataset_card({**head, "config": config}, CardConfig(title="Title", contact="removals@example.org"))


def _front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_gives_each_split_its_tars(made: Path):
    front = _front_matter((made / "dataset_card.md").read_text())
    (default,) = front["configs"]
    assert default["data_files"] == [
        {"split": "train", "path": "shards/train/*.tar"},
        {"split": "val", "path": "shards/val/*.tar"},
    ]


@pytest.mark.parametrize(
    ("mode", "words"),
    [("remux", "begins at the keyframe"), ("exact", "exactly its sentence"), ("keyframe", "counts as")],
)
def test_the_first_lines_say_where_a_clip_starts_in_its_mp4(made: Path, mode: str, words: str):
    card = _card(made, **{"media.cut.mode": mode})
    first = card.split("---\n")[2].strip().splitlines()[2]
    assert words in first


def test_a_rights_holder_finds_whom_to_ask(made: Path):
    assert "removals@example.org" in _card(made)


def test_croissant_is_valid_and_its_records_read_back(made: Path, monkeypatch):
    monkeypatch.chdir(made)
    data_set = mlcroissant.Dataset(str(made / "croissant.json"))
    assert not data_set.metadata.issues.errors and not data_set.metadata.issues.warnings
    shards = list(data_set.records("shards"))
    entries = json.loads((made / "wids.json").read_text())["shardlist"]
    assert sorted(s["shards/url"].decode() for s in shards) == sorted(e["url"] for e in entries)
    clips = list(data_set.records("clips"))
    assert {c["clips/status"] for c in clips} == {b"success", b"failed_to_subsample"}
    assert len(clips) == 15
