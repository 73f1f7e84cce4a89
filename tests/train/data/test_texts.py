"""Texts of an annotation file in place of the samples' own."""

from __future__ import annotations

import logging

import pytest

from manifests.errors import UserError
from manifests.shards import read_manifest
from tests.train.data.loaders import a_loader
from train.annotations.captions import Query
from train.data.index import load_index
from train.data.texts import samples_named, with_texts


@pytest.fixture
def index(drawn):
    return load_index(read_manifest(str(drawn)), "train")


def queries(*numbers, n=3):
    return [Query(f"train{v:05d}", f"text {t} of {v}") for v in numbers for t in range(n)]


def test_a_sample_goes_by_its_key_its_clips_id_or_its_videos(index):
    names = ("train00002_00000", "train00003.0", "train00004", "train00005_00001")

    found = samples_named(index, names)

    assert {name: index.key(number) for name, number in found.items()} == {
        "train00002_00000": "train00002_00000",
        "train00003.0": "train00003_00000",
        "train00004": "train00004_00000",
    }


def test_only_the_samples_that_are_named_are_read_and_missing_videos_are_said(index, caplog):
    with caplog.at_level(logging.WARNING, "hdvila"):
        named = with_texts(index, queries(7, 2, 99, 3), "train.json")

    keys = [named.key(i) for i in range(len(named))]
    assert sorted(keys) == ["train00002_00000", "train00003_00000", "train00007_00000"]
    assert named.texts[keys.index("train00007_00000")] == ("text 0 of 7", "text 1 of 7", "text 2 of 7")
    assert "train.json: 1 of 4 videos are not in" in caplog.text and "train00099" in caplog.text
    assert named.fingerprint() != index.fingerprint()
    assert named.fingerprint() != with_texts(index, queries(7, 2, 3, n=2), "train.json").fingerprint()


def test_a_file_of_other_videos_is_refused_with_an_example_of_both_names(index):
    with pytest.raises(UserError, match=r"names 1 videos, and .* has a sample of none .*'video7'.*'train\d{5}_00000'"):
        with_texts(index, [Query("video7", "a dog")], "train.json")


def test_a_draw_takes_one_of_a_samples_texts_by_its_position_alone(index):
    named = with_texts(index, queries(0, 1, 2, 3, n=20), "train.json")

    drawn = {w: list(a_loader(named, workers=w).steps(0, 8)) for w in (0, 2)}

    texts = [[text for loaded in steps for text in loaded.texts] for steps in drawn.values()]
    assert texts[0] == texts[1]
    of_one = {
        t for loaded in drawn[0] for k, t in zip(loaded.keys, loaded.texts, strict=True) if k.startswith("train00002")
    }
    assert len(of_one) > 4, "eight epochs, twenty texts"
    halves = [a_loader(named, rank, 2).steps(0, 1) for rank in (0, 1)]
    assert [text for half in halves for loaded in half for text in loaded.texts] == texts[0][:4]
