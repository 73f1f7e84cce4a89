"""Annotation files as they lie on a disk."""

import pytest

from manifests.errors import UserError
from train.annotations.files import read_content, read_names, video_name


def test_a_videos_name_is_without_folders_and_a_video_suffix():
    assert [video_name(n) for n in ("a/b.MP4", "c\\d.avi", "3001_21_0.1", "x.txt", 6513)] == [
        "b",
        "d",
        "3001_21_0.1",
        "x.txt",
        "6513",
    ]


def test_a_mark_of_byte_order_is_no_part_of_the_content(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf[{"video": "a"}]')
    assert read_content(tmp_path / "a.json") == [{"video": "a"}]


def test_a_missing_file_and_an_empty_list_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        read_content(tmp_path / "none.csv")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match="lists no video"):
        read_names(tmp_path / "empty.txt")
