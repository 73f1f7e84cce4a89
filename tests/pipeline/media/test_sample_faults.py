"""What is wrong with a picture's sample, in a few words each."""

import io
import json

import pytest
from PIL import Image

from manifests.image_sample import ImageJson
from pipeline.media.sample_faults import image_faults


def jpeg(width: int = 8, height: int = 6) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


FACTS = ImageJson(
    key="k", url="", caption="a cat", width=8, height=6, original_width=8, original_height=6, sha256="0", image_id="1",
    file_name="1.jpg", captions=["a cat", "a pet"], source="s", licence="", group="g",
)  # fmt: skip
ROW = {"key": "k", "video_id": "g", "width": 8, "height": 6, "caption": "a cat\na pet"}
GOOD = {"jpg": jpeg(), "txt": b"a cat", "json": FACTS.model_dump_json().encode()}


def with_json(**changes: object) -> bytes:
    return json.dumps({**FACTS.model_dump(), **changes}).encode()


def faults(decode: bool = True, row: dict = ROW, **members: bytes) -> list[str]:
    return list(image_faults(row, {**GOOD, **members}, decode=decode))


def test_a_good_sample_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"json": with_json(width="8")}, "width"),
        ({"json": FACTS.model_dump_json(exclude={"status"}).encode()}, "has no status"),
        ({"json": with_json(key="other")}, "key is 'other' in the json"),
        ({"json": with_json(captions=["a dog"])}, "not the first of its captions"),
        ({"txt": b"a dog"}, "are not the same"),
        ({"jpg": b"no jpeg"}, "cannot be decoded"),
        ({"jpg": jpeg(9, 6)}, "is 9x6, the json says 8x6"),
    ],
)
def test_each_fault_is_named(members: dict[str, bytes], words: str) -> None:
    assert any(words in fault for fault in faults(**members)), faults(**members)


def test_pictures_are_looked_at_only_where_that_is_asked_for() -> None:
    assert faults(decode=False, jpg=b"no jpeg") == []
    assert list(image_faults(ROW, {"jpg": b""}, decode=True)) == ["has no txt, json"]
