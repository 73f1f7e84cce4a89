"""One picture with its sentence, of clips and of image-text sets: what is seen, and what cannot be."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests.image_sample import ImageJson
from train.data.decode import SampleBroken
from train.data.picture import PictureView, on_canvas
from train.testing import Scene, Shape, a_sample

VIEW = PictureView((64, 96), "pad")
FACTS: dict[str, Any] = {
    "key": "k", "url": "", "width": 80, "height": 60, "original_width": 80, "original_height": 60, "sha256": "",
    "image_id": "7", "file_name": "7.jpg", "source": "captions.json", "licence": "", "group": "7",
}  # fmt: skip


def a_picture(*captions: str, colour: tuple[int, int, int] = (200, 30, 30)) -> dict[str, bytes]:
    """The members of a sample of an image-text set."""
    out = io.BytesIO()
    Image.new("RGB", (80, 60), colour).save(out, "JPEG")
    facts = ImageJson(**FACTS, caption=captions[0], captions=list(captions))
    return {"jpg": out.getvalue(), "txt": captions[0].encode(), "json": facts.model_dump_json().encode()}


def test_padding_keeps_the_whole_picture_and_says_how_much_there_is() -> None:
    picture = np.full((120, 90, 3), 255, np.uint8)
    canvas, valid = on_canvas(picture, (64, 96), "pad", None)
    assert canvas.shape == (64, 96, 3) and valid == (64, 48)
    assert (canvas[:, :48] == 255).all() and (canvas[:, 48:] == 0).all()


@pytest.mark.parametrize("shape", [(120, 90), (90, 300), (64, 96)])
def test_a_crop_fills_the_canvas_from_the_centre(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[shape[0] // 2 - 4 : shape[0] // 2 + 4, shape[1] // 2 - 4 : shape[1] // 2 + 4] = 255
    canvas, valid = on_canvas(picture, (64, 96), "crop", None)
    assert valid == (64, 96) and canvas[32, 48, 0] > 200


def test_a_clip_shows_its_middle_still_and_training_draws_one() -> None:
    sample = a_sample(scene=Scene(), shape=Shape())
    members = {name: sample.members[name] for name in ("mjpg", "txt", "json")}
    once, again = (VIEW.decode(members, "prepared", None) for _ in range(2))
    assert np.array_equal(once.arrays["image"], again.arrays["image"])
    assert once.arrays["image"].shape == (3, 64, 96) and once.arrays["image"].dtype == np.uint8
    assert once.text == Scene().describe()
    seen = {VIEW.decode(members, "prepared", np.random.default_rng(i)).arrays["image"].tobytes() for i in range(20)}
    assert len(seen) > 1


def test_a_clip_without_stills_shows_a_frame_of_its_video() -> None:
    sample = a_sample(scene=Scene(), shape=Shape(prepared=False))
    seen = VIEW.decode(sample.members, "whole", None)
    assert seen.arrays["image"].max() > 0 and seen.arrays["valid_hw"].tolist() == [54, 96]


def test_evaluation_takes_the_first_caption_and_training_any() -> None:
    members = a_picture("one", "two", "three")
    assert VIEW.decode(members, "whole", None).text == "one"
    drawn = {VIEW.decode(members, "whole", np.random.default_rng(i)).text for i in range(30)}
    assert drawn == {"one", "two", "three"}


def test_a_blank_has_the_shapes_and_types_of_a_sample() -> None:
    seen = VIEW.decode(a_picture("one"), "whole", None)
    for name, array in replace(VIEW, fit="crop").blank().items():
        assert (array.shape, array.dtype) == (seen.arrays[name].shape, seen.arrays[name].dtype)


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [("jpg", b"\xff\xd8 no", "cannot be decoded"), ("json", b"{}", "cannot be decoded"), ("json", b"\xff", "decoded")],
)
def test_a_damaged_sample_is_named_as_such(member: str, data: bytes, message: str) -> None:
    with pytest.raises(SampleBroken, match=message):
        VIEW.decode({**a_picture("one"), member: data}, "whole", None)


def test_a_sample_without_any_picture_is_named_as_such() -> None:
    sample = a_sample(scene=Scene(), shape=Shape())
    with pytest.raises(SampleBroken, match="no member mjpg, mp4 or jpg"):
        VIEW.decode({name: sample.members[name] for name in ("txt", "json")}, "whole", None)
