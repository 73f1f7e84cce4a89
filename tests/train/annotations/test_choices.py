"""Files of multiple choice."""

import json

import pytest

from manifests.errors import UserError
from train.annotations.choices import Choice, read_choices

LIST = [{"video": "video7010.mp4", "caption": ["a dog runs", "a cat"], "answer": 1}]
OFFICIAL = '{"qid": 3, "clip_name": "a/video7010", "options": ["a dog  runs", "a cat"], "answer": "1", "title": ""}\n'


@pytest.mark.parametrize("content", [json.dumps(LIST), OFFICIAL], ids=["list", "official lines"])
def test_both_published_forms_are_read(tmp_path, content):
    (tmp_path / "mc.json").write_text(content)
    assert read_choices(tmp_path / "mc.json") == [Choice("video7010", ("a dog runs", "a cat"), 1)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"video": "a", "caption": ["b", "c"], "answer": 2}, "entry 2 is no choice of a text .*answer 2 of 2"),
        ({"caption": ["b"], "answer": 0}, "entry 2"),
        ({"video": "a", "caption": [3], "answer": 0}, "entry 2"),
        (7, "entry 2"),
    ],
)
def test_an_entry_that_is_none_is_named(tmp_path, entry, message):
    (tmp_path / "mc.json").write_text(json.dumps([*LIST, entry]))
    with pytest.raises(UserError, match=message):
        read_choices(tmp_path / "mc.json")


def test_captions_are_no_choices(tmp_path):
    (tmp_path / "captions.json").write_text(json.dumps([{"video": "a", "caption": ["b", "c"]}]))
    with pytest.raises(UserError, match="is no file of multiple choice"):
        read_choices(tmp_path / "captions.json")
