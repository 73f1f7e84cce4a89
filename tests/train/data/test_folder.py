"""A folder of videos as a data set: found by name, decoded as files are, and mirrored and cropped as samples are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hdvila_testing.drawn_set import Scene, encode_mp4
from manifests.errors import UserError
from train.annotations.captions import Query
from train.data.decode import ClipView, SampleBroken
from train.data.film import Film
from train.data.folder import open_folder
from train.data.read import Reader
from train.data.texts import with_texts
from train.evaluation.encoder import hybrid_views

VIEW = ClipView((64, 128), (16, 32), 3, 1, 2, fps=6.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    (root / "part").mkdir()
    for name in ("video9.mp4", "part/v_-a_b.mp4"):
        pictures = [Scene().draw(number, 160, 96) for number in range(12)]
        (root / name).write_bytes(encode_mp4(pictures, fps=12))
    (root / "notes.txt").write_text("no video")
    return root


def test_an_annotation_file_finds_videos_in_it_and_its_subfolders_by_name(folder):
    index = with_texts(open_folder(folder), [Query("v_-a_b", "one"), Query("v_-a_b", "two"), Query("gone", "x")], "f")

    assert [index.key(i) for i in range(len(index))] == ["v_-a_b_00000"] and index.texts == (("one", "two"),)
    assert Reader(index).read(0, ("film",)) == {"film": os.fsencode(folder / "part/v_-a_b.mp4")}


def test_a_sample_is_what_evaluation_sees_of_the_file(folder):
    seen = VIEW.decode({"film": os.fsencode(folder / "video9.mp4")}, "film", None)

    film = Film(folder / "video9.mp4", 6.0)
    middle, other = hybrid_views(film.read, film.n_frames, VIEW)
    assert middle is not None and np.array_equal(seen.arrays["img_middle"], middle.numpy())
    assert other is not None and np.array_equal(seen.arrays["img_other"], other.numpy())


def test_training_draws_its_frames(folder):
    members = {"film": os.fsencode(folder / "video9.mp4")}
    drawn = [VIEW.decode(members, "film", np.random.default_rng(seed)).arrays["img_middle"] for seed in (1, 1, 2)]

    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_a_file_that_is_no_video_loses_only_its_sample(folder, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SampleBroken, match=r"a.mp4: cannot be decoded"):
        VIEW.decode({"film": os.fsencode(tmp_path / "a.mp4")}, "film", None)


def test_the_same_files_are_the_same_data_set_and_others_are_not(folder, tmp_path):
    first = open_folder(folder)
    assert first.fingerprint() == open_folder(folder).fingerprint()
    (tmp_path / "video9.mp4").write_bytes(b"other")
    assert open_folder(tmp_path).fingerprint() != first.fingerprint()
    for path, message in ((tmp_path / "gone", "no such folder"), (Path("train/data"), "holds no video")):
        with pytest.raises(UserError, match=message):
            open_folder(path)
