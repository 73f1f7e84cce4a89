"""Benchmarks' caption files, in miniature but in the published forms, and what is said of files that are none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from manifests.errors import UserError
from train.annotations.captions import Query, read_queries
from train.annotations.files import read_content, read_names, video_name

MSRVTT_1KA = """key,vid_key,video_id,sentence
ret0,msr9770,video9770,a person is connecting something to system
ret1,msr9771,video9771,"a girl, who sings"
"""
MSRVTT_ALL = {
    "info": {},
    "videos": [
        {"video_id": "video0", "split": "train", "url": "https://www.youtube.com/watch?v=9lZi22qLlEo"},
        {"video_id": "video7", "split": "validate"},
        {"video_id": "video9", "split": "test"},
    ],
    "sentences": [
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 0},
        {"caption": "in a garage", "video_id": "video0", "sen_id": 1},
        {"caption": "a man cooks", "video_id": "video9", "sen_id": 2},
        {"caption": "a band", "video_id": "video7", "sen_id": 3},
    ],
}
DIDEMO = [
    {"annotation_id": 1, "video": "54322086@N00_2408598493_274c77d26a.avi", "description": "a dog runs.", "times": []},
    {"annotation_id": 2, "video": "10287332@N00_1.mov", "description": "waves", "times": []},
    {"annotation_id": 3, "video": "54322086@N00_2408598493_274c77d26a.avi", "description": "it jumps", "times": []},
]
LSMDC = (
    "1004_Juno_00.00.32.122-00.00.35.299\t00:00:32.122\t00:00:35.299\t00:00:31\t00:00:36\tSOMEONE looks up.\n"
    "3001_21_0.1\t0\t1\t0\t1\tHe sits in a café.\n"
)
ACTIVITYNET = {
    "v_uqiMw7tQ1Cc": {
        "duration": 55.15,
        "timestamps": [[0.28, 55.15], [13, 54]],
        "sentences": ["A man. ", " He ties."],
    },
    "v_bXdq2zI1Ms0": {"duration": 73.1, "timestamps": [[0, 10]], "sentences": ["Three men."]},
}
COMMON = [{"video": "video9770.mp4", "caption": "a person"}, {"video": "b/video9771.mp4", "caption": ["one", "two"]}]
LINES = (
    '{"clip_id": "a/b/video1.mp4", "text": "one"}\n\n{"clip_id": "video2", "text": ["two", "zwei"], "num_frame": 9}\n'
)
PUBLISHED = {
    "msrvtt 1k-A": (
        MSRVTT_1KA,
        [
            Query("video9770", "a person is connecting something to system"),
            Query("video9771", "a girl, who sings"),
        ],
    ),
    "msrvtt": (MSRVTT_ALL, [Query("video9", "a man cooks", "test")]),
    "didemo": (
        DIDEMO,
        [Query("54322086@N00_2408598493_274c77d26a", "a dog runs. it jumps"), Query("10287332@N00_1", "waves")],
    ),
    "lsmdc": (
        LSMDC,
        [
            Query("1004_Juno_00.00.32.122-00.00.35.299", "SOMEONE looks up."),
            Query("3001_21_0.1", "He sits in a café."),
        ],
    ),
    "activitynet": (ACTIVITYNET, [Query("v_uqiMw7tQ1Cc", "A man. He ties."), Query("v_bXdq2zI1Ms0", "Three men.")]),
    "list": (COMMON, [Query("video9770", "a person"), Query("video9771", "one"), Query("video9771", "two")]),
    "lines": (LINES, [Query("video1", "one"), Query("video2", "two"), Query("video2", "zwei")]),
    "one line": ('{"clip_id": "video1", "text": "one"}\n', [Query("video1", "one")]),
}


def a_file(folder: Path, content: object, encoding: str = "utf-8") -> Path:
    path = folder / "captions"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding=encoding)
    return path


@pytest.mark.parametrize(("content", "wanted"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_file_is_recognised_by_its_content_and_read(tmp_path, content, wanted):
    assert read_queries(a_file(tmp_path, content)) == wanted


def test_lsmdc_is_read_as_it_is_published_in_latin_1(tmp_path):
    assert read_queries(a_file(tmp_path, LSMDC, "latin-1"))[1].text == "He sits in a café."


@pytest.mark.parametrize("split", ["train", "training"])
def test_a_split_is_taken_by_its_name_in_the_file(tmp_path, split):
    texts = [query.text for query in read_queries(a_file(tmp_path, MSRVTT_ALL), split=split)]

    assert texts == ["a car is shown", "in a garage"]


@pytest.mark.parametrize(
    "list_",
    ["video_id\nvideo0\nvideo7\n", "video0.mp4\nvideo7\n", '["video0", "video7"]'],
    ids=["9k", "names", "json"],
)
def test_a_split_is_taken_from_a_file_that_lists_its_videos(tmp_path, list_):
    names = tmp_path / "train.9k.csv"
    names.write_text(list_)

    queries = read_queries(a_file(tmp_path, MSRVTT_ALL), split=str(names))

    assert [query.video for query in queries] == ["video0", "video0", "video7"]


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [(MSRVTT_ALL, "dev", "its splits are train, test, val"), (COMMON, "test", "tells no splits; name a file")],
)
def test_a_split_that_is_not_there_is_named(tmp_path, content, split, message):
    with pytest.raises(UserError, match=message):
        read_queries(a_file(tmp_path, content), split=split)


def test_a_list_of_other_videos_is_named(tmp_path):
    names = tmp_path / "test_list.txt"
    names.write_text("video1\n")
    with pytest.raises(UserError, match=r"test_list.txt: names none of the videos of .* \(video0 is one"):
        read_queries(a_file(tmp_path, MSRVTT_ALL), split=str(names))


TGIF = "gif_name\tquestion\tanswer\tvid_id\tkey\ntumblr_1\twhat is there ?\tcat\tACTION4\t3\n"


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        ("no captions at all", "auto", "none of the forms of caption files:\n  msrvtt: a CSV with"),
        ("", "auto", "none of the forms"),
        ("3", "auto", "none of the forms"),
        (TGIF, "auto", "holds questions, not captions: .* name it in data.questions"),
        (json.dumps([{"question": "who?", "answer": "a man", "video_id": 6513}]), "auto", "holds questions"),
        (json.dumps([{"video": "a", "caption": ["b", "c"], "answer": 1}]), "auto", "of which one is right"),
        ('{"clip_id": 3}\n{"text"\n', "auto", "line 2 is no JSON"),
        (json.dumps(MSRVTT_ALL)[:-3], "auto", "damaged JSON"),
        (json.dumps([{"video": "a", "caption": "b"}, {"video": "a"}]), "auto", "entry 2 has no video"),
        (json.dumps([{"video": "a"}]), "didemo", "not a file of form didemo"),
        ("a\tb\n", "lsmdc", "line 1 has 2"),
        (json.dumps({"v_a": {"sentences": [4]}}), "activitynet", "a text is expected and int"),
        ("video_id,sentence\n", "auto", "holds no caption"),
        ("[" * 100_000, "auto", "nested too deep|damaged JSON"),
    ],
)
def test_what_is_no_caption_file_is_said_with_the_place(tmp_path, content, form, message):
    with pytest.raises(UserError, match=message):
        read_queries(a_file(tmp_path, content), form)


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path):
    path = a_file(tmp_path, "video_id,sentence\nvideo1,ok\nvideo2,café\n", "latin-1")
    with pytest.raises(UserError, match="line 3 is not UTF-8"):
        read_queries(path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_damaged_file_is_read_or_refused_with_one_message(tmp_path, name):
    content = PUBLISHED[name][0]
    data = (content if isinstance(content, str) else json.dumps(content)).encode()
    draw = random.Random(name)
    for _ in range(40):
        spoilt = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(spoilt))
            spoilt[at : at + draw.choice((0, 1, 1, 9, len(data)))] = draw.choice(
                (b"", b"null", b'"', b"\xff", b"\n", b"{}")
            )
        path = tmp_path / "captions"
        path.write_bytes(spoilt)
        try:
            queries = read_queries(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert queries and all(query.video and query.text for query in queries)


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
