"""Published formats are told by their content."""

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from pipeline.images.annotations import read_annotations
from pipeline.images.questions import read_questions


@pytest.mark.parametrize(
    ("kind", "name", "content", "wanted"),
    [
        ("soho", "a.json", [{"file_name": "x.jpg", "image_id": 7, "height": 1, "width": 1, "labels": [3],
                             "captions": ["one", "two", "one"]}], ("7", "x.jpg", ("one", "two"))),
        ("vg", "b.json", [{"id": 61512, "regions": [{"region_id": 1, "phrase": "a red car", "x": 1},
                                                    {"region_id": 2, "phrase": "the road"}]}],
         ("61512", "61512.jpg", ("a red car", "the road"))),
        ("flickr", "c.token", "10.jpg#0\tA dog runs .\n10.jpg#1\tTwo dogs .\n",
         ("10", "10.jpg", ("A dog runs .", "Two dogs ."))),
    ],
)  # fmt: skip
def test_a_format_is_told_by_its_content(tmp_path: Path, kind: str, name: str, content: Any, wanted: Any) -> None:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    found_kind, found = read_annotations(path)
    assert found_kind == kind
    assert [(p.image_id, p.file_name, p.captions) for p in found] == [wanted]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('[{"question_id": ' + "[" * 100_000 + "]" * 100_000 + "}]", "nested too deeply"),
        ("[1, 2]", "is neither COCO captions"),
        ('{"images": [{"id": 1}], "annotations": []}', "cannot be read as coco captions"),
        ('{"images": 3, "annotations": [{"caption": 1}]}', "cannot be read as coco"),
        ("no tab here", "line 1 is not"),
    ],
)
def test_what_is_no_caption_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        if read_questions([path]) is None:
            read_annotations(path)
    assert "captions.json" in str(caught.value)
