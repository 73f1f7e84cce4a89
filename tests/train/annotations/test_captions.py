"""Benchmarks' caption files, in miniature but in the published formats, and what is said of files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from manifests.errors import UserError
from train.annotations.captions import Query, find_videos, read_queries

MSRVTT_1KA = """key,vid_key,video_id,sentence
ret0,msr9770,video9770,a person is connecting something to system
ret1,msr9771,video9771,"a little girl, who sings"
"""
MSRVTT_ALL = {
    "info": {},
    "videos": [{"video_id": "video0", "split": "train"}],
    "sentences": [
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 0},
        {"caption": "in a garage", "video_id": "video0", "sen_id": 1},
    ],
}
DIDEMO = [
    {"annotation_id": 1, "video": "54322086@N00_2408598493_274c77d26a.avi", "description": "a dog runs.", "times": []},
    {"annotation_id": 2, "video": "10287332@N00_1.mov", "description": "waves", "times": []},
    {"annotation_id": 3, "video": "54322086@N00_2408598493_274c77d26a.avi", "description": "it jumps", "times": []},
]
LSMDC = (
    "1004_Juno_00.00.32.122-00.00.35.299\t00:00:32.122\t00:00:35.299\t00:00:31\t00:00:36\tSOMEONE looks up.\n"
    "3001_21_0.1\t0\t1\t0\t1\tHe sits.\n"
)
ACTIVITYNET = {
    "v_uqiMw7tQ1Cc": {
        "duration": 55.15,
        "timestamps": [[0.28, 55.15], [13, 54]],
        "sentences": ["A man. ", " He ties."],
    },
    "v_bXdq2zI1Ms0": {"duration": 73.1, "timestamps": [[0, 10]], "sentences": ["Three men."]},
}
JSONL = (
    '{"clip_id": "a/b/video1.mp4", "text": "one"}\n\n{"clip_id": "video2", "text": ["two", "zwei"], "num_frame": 9}\n'
)


def a_file(folder: Path, content: object) -> Path:
    path = folder / "captions"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (
            MSRVTT_1KA,
            [
                Query("video9770", "a person is connecting something to system"),
                Query("video9771", "a little girl, who sings"),
            ],
        ),
        (MSRVTT_ALL, [Query("video0", "a car is shown"), Query("video0", "in a garage")]),
        (
            DIDEMO,
            [
                Query("54322086@N00_2408598493_274c77d26a", "a dog runs. it jumps"),
                Query("10287332@N00_1", "waves"),
            ],
        ),
        (LSMDC, [Query("1004_Juno_00.00.32.122-00.00.35.299", "SOMEONE looks up."), Query("3001_21_0.1", "He sits.")]),
        (ACTIVITYNET, [Query("v_uqiMw7tQ1Cc", "A man. He ties."), Query("v_bXdq2zI1Ms0", "Three men.")]),
        (JSONL, [Query("video1", "one"), Query("video2", "two"), Query("video2", "zwei")]),
    ],
    ids=["msrvtt 1k-A", "msrvtt", "didemo", "lsmdc", "activitynet", "jsonl"],
)
def test_a_published_file_is_recognised_by_its_content_and_read(tmp_path, content, wanted):
    assert read_queries(a_file(tmp_path, content)) == wanted


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        ("no captions at all", "auto", "none of the formats"),
        ("", "auto", "none of the formats"),
        ("3", "auto", "none of the formats"),
        ('{"clip_id": 3}\n{"text"\n', "jsonl", "line 1 is no"),
        (json.dumps([{"video": "a"}]), "didemo", "not a file of format didemo"),
        ("a\tb\n", "lsmdc", "line 1 has 2"),
        (json.dumps({"v_a": {"sentences": [4]}}), "activitynet", "a caption is int"),
        ("video_id,sentence\n", "auto", "holds no caption"),
    ],
)
def test_what_is_no_caption_file_is_said_with_the_place(tmp_path, content, form, message):
    with pytest.raises(UserError, match=message):
        read_queries(a_file(tmp_path, content), form)


def test_videos_are_found_in_subfolders_whatever_their_suffix_and_missing_ones_are_named(tmp_path):
    for name in ("1004_Juno/1004_Juno_00.00.32.122-00.00.35.299.avi", "video1.MP4", "video1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    found, missing = find_videos(tmp_path, ["video1", "1004_Juno_00.00.32.122-00.00.35.299", "video2", "video2"])

    assert {name: path.suffix for name, path in found.items()} == {
        "video1": ".MP4",
        "1004_Juno_00.00.32.122-00.00.35.299": ".avi",
    }
    assert missing == ["video2"]
    with pytest.raises(UserError, match="no such folder"):
        find_videos(tmp_path / "none", [])
