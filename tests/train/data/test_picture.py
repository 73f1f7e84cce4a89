"""One picture with its sentence, of clips and of image-text sets: what is seen, and what cannot be."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hdvila_testing.drawn_set import Scene, Shape, a_sample, read_number
from manifests.image_sample import ImageJson
from train.data import video
from train.data.decode import SampleBroken
from train.data.picture import PictureView, on_canvas, read_jpeg

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


def test_a_clip_without_stills_shows_a_frame_of_its_video() -> None:
    sample = a_sample(scene=Scene(), shape=Shape(prepared=False))
    seen = VIEW.decode(sample.members, "whole", None)
    assert seen.arrays["image"].max() > 0 and seen.arrays["valid_hw"].tolist() == [54, 96]


def test_evaluation_takes_the_first_caption_and_training_any() -> None:
    members = a_picture("one", "two", "three")
    assert VIEW.decode(members, "whole", None).text == "one"
    drawn = {VIEW.decode(members, "whole", np.random.default_rng(i)).text for i in range(30)}
    assert drawn == {"one", "two", "three"}


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


LARGE = PictureView((180, 320), "pad")


def numbers(members: dict[str, bytes], seeds: list[int | None]) -> list[int]:
    """The frame that each seed shows; None: evaluation."""
    draws = [None if seed is None else np.random.default_rng(seed) for seed in seeds]
    shown = [LARGE.decode(members, "prepared", draw).arrays["image"].transpose(1, 2, 0) for draw in draws]
    return [read_number(picture) for picture in shown]


@pytest.mark.parametrize(("member", "held"), [("mjpg", [2, 8, 14, 20, 26]), ("mp4", list(range(30)))])
def test_evaluation_shows_the_middle_and_training_any_of_a_clips_stills_or_frames(member: str, held: list[int]) -> None:
    """The mp4's first five frames lie before the clip."""
    members = a_sample(shape=Shape(n_stills=5)).members
    one = {name: members[name] for name in (member, "txt", "json")}

    assert numbers(one, [None]) == [held[len(held) // 2]]
    drawn = set(numbers(one, list(range(25))))
    assert drawn <= set(held) and len(drawn) > 4 and min(drawn) < held[-1] / 4 and max(drawn) > 3 * held[-1] / 4


def test_a_turned_video_is_shown_upright() -> None:
    members = a_sample(shape=Shape(prepared=False, first_frame=0)).members
    turned = {**json.loads(members["json"]), "width": 180, "height": 320, "rotation": 90}

    seen = LARGE.decode({**members, "json": json.dumps(turned).encode()}, "whole", None)

    assert seen.arrays["valid_hw"].tolist() == [180, 101]


def test_a_flip_mirrors_the_picture_as_often_as_asked_and_never_in_evaluation() -> None:
    members = a_sample(shape=Shape(n_stills=1)).members
    one = {name: members[name] for name in ("mjpg", "txt", "json")}

    def is_mirrored(flip: float, seed: int | None) -> bool:
        draw = None if seed is None else np.random.default_rng(seed)
        plain, image = (replace(VIEW, flip=f).decode(one, "prepared", d) for f, d in ((0, None), (flip, draw)))
        found = [np.array_equal(image.arrays["image"], plain.arrays["image"][..., ::step]) for step in (1, -1)]
        assert sum(found) == 1
        return found[1]

    assert VIEW.flip == 0 and not is_mirrored(1.0, None)
    assert all(is_mirrored(1.0, seed) for seed in range(9)) and not any(is_mirrored(0.0, seed) for seed in range(3))
    assert 2 <= sum(is_mirrored(0.25, seed) for seed in range(40)) <= 20  # 10 in the mean


@pytest.mark.parametrize(
    ("shape", "valid"),
    [((120, 90), (64, 48)), ((90, 120), (64, 85)), ((90, 300), (29, 96)), ((4, 2000), (1, 96)), ((2000, 4), (64, 1))],
    ids=str,
)
def test_a_padded_picture_is_as_large_as_fits_and_at_least_a_pixel(
    shape: tuple[int, int], valid: tuple[int, int]
) -> None:
    canvas, found = on_canvas(np.full((*shape, 3), 9, np.uint8), (64, 96), "pad", None)

    assert found == valid and (canvas[: valid[0], : valid[1]] == 9).all() and canvas.sum() == 27 * valid[0] * valid[1]


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards: 0 to 250."""
    across, down = np.linspace(0, 250, width), np.linspace(0, 250, height)
    return np.stack(np.broadcast_arrays(across[None], down[:, None], 0.0), 2).astype(np.uint8)


def edges(canvas: np.ndarray) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) of a canvas in parts of the ramp."""
    red, green = canvas[..., 0] / 250, canvas[..., 1] / 250
    return red[:, 0].mean(), red[:, -1].mean(), green[0].mean(), green[-1].mean()


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((200, 200), (0, 1, 1 / 6, 5 / 6)), ((100, 600), (3 / 8, 5 / 8, 0, 1)), ((64, 96), (0, 1, 0, 1))],
)
def test_evaluation_takes_the_largest_part_of_the_canvas_shape_out_of_the_middle(
    shape: tuple[int, int], wanted: tuple[float, ...]
) -> None:
    canvas, valid = on_canvas(ramp(*shape), (64, 96), "crop", None)

    assert canvas.shape == (64, 96, 3) and valid == (64, 96)
    assert edges(canvas) == pytest.approx(wanted, abs=0.02)


def test_training_zooms_in_by_a_fifth_at_most_and_looks_anywhere() -> None:
    found = np.array(
        [edges(on_canvas(ramp(200, 300), (64, 96), "crop", np.random.default_rng(i))[0]) for i in range(60)]
    )
    sides = found[:, 1] - found[:, 0], found[:, 3] - found[:, 2]

    assert np.abs(sides[0] - sides[1]).max() < 0.03, "proportions are kept"
    assert sides[0].min() > 0.77 and sides[0].min() < 0.84 and sides[0].max() > 0.96
    for first, last in ((found[:, 0], found[:, 1]), (found[:, 2], found[:, 3])):
        assert first.min() < 0.02 and first.max() > 0.1 and last.min() < 0.9 and last.max() > 0.98


def test_a_picture_of_more_pixels_than_a_film_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = a_picture("one")["jpg"]
    monkeypatch.setattr(video, "MAX_PIXELS", 80 * 60)
    assert read_jpeg(data).shape == (60, 80, 3)
    monkeypatch.setattr(video, "MAX_PIXELS", 80 * 60 - 1)

    with pytest.raises(ValueError, match="a picture of 80x60 pixels"):
        read_jpeg(data)


def test_colours_are_those_of_the_picture_and_nothing_else_fills_the_canvas() -> None:
    image = VIEW.decode(a_picture("one", colour=(200, 100, 30)), "whole", None).arrays["image"]

    assert image.shape == (3, 64, 96) and [int(c) for c in image[:, 5, 5]] == pytest.approx([200, 100, 30], abs=6)
    assert not image[:, :, 90:].any() and image[:, :, :85].all()


@pytest.mark.parametrize("caption", ["", "  \n "])
def test_a_picture_or_clip_without_words_is_named_as_such(caption: str) -> None:
    clip = a_sample(shape=Shape(n_stills=1)).members
    for members in (a_picture(caption), {"mjpg": clip["mjpg"], "json": clip["json"], "txt": caption.encode()}):
        with pytest.raises(SampleBroken, match="its caption is empty"):
            VIEW.decode(members, "whole", None)
