"""What a sample's json says of its clip, and the stills and proxies that it leads to: bounds, order and names."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from hdvila_testing.drawn_set import Shape, a_sample, a_sample_json, encode_mp4
from manifests.sample import SampleJson
from train.data import decode, video
from train.data.decode import (
    SampleBroken,
    Still,
    decode_sample,
    frames_of,
    nearest_stills,
    open_proxy,
    read_still,
    upright,
)
from train.data.views import Views

VIEWS = Views((160, 256), (40, 64), 7, 2, 3)


@pytest.fixture(scope="module")
def sample():
    return a_sample(shape=Shape(n_frames=40, first_frame=7))


def jpeg(width: int = 64, height: int = 32, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 200).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_still_is_the_bytes_between_its_offset_and_its_end() -> None:
    first, second = jpeg(), jpeg(32, 48)
    data = first + second

    assert read_still(data, Still(0, len(first), 0)).size == (64, 32)
    assert read_still(data, Still(len(first), len(second), 0)).size == (32, 48)
    for offset, size in ((-1, 9), (0, 0), (len(first), len(second) + 1), (len(data), 1)):
        with pytest.raises(ValueError, match=r"a still at -?\d+\+\d+ of"):
            read_still(data, Still(offset, size, 0))


def facts(**changes: object) -> SampleJson:
    return a_sample_json().model_copy(update={"width": 320, "height": 180, "n_frames": 10, **changes})


CLIP = video.open_clip(encode_mp4([np.full((16, 32, 3), 20 * i, np.uint8) for i in range(5)], fps=10))
"""Five frames, one each 100 ms."""


def test_a_still_shows_the_frame_that_it_names() -> None:
    proxy = decode.Proxy(CLIP, step=2, n_frames=9)

    assert frames_of([Still(0, 1, frame=0), Still(0, 1, frame=8)], proxy) == [0, 8]
    for frame in (9, -2):
        with pytest.raises(ValueError, match=f"a still of frame {frame}, the clip has 9"):
            frames_of([Still(0, 1, frame=3), Still(0, 1, frame=frame)], proxy)


@pytest.mark.parametrize(
    ("step", "n_frames", "fits"),
    [
        (1, 5, True),
        (1, 4, False),
        (1, 6, False),
        (2, 9, True),
        (2, 10, True),
        (3, 13, True),
        (2, 8, False),
        (2, 11, False),
        (0, 5, False),
    ],
)
def test_a_proxy_has_a_frame_for_each_proxy_step_frames_of_its_clip(step: int, n_frames: int, fits: bool) -> None:
    data = encode_mp4([np.zeros((16, 32, 3), np.uint8)] * 5, fps=10)
    if fits:
        proxy = open_proxy(data, facts(proxy_step=step, n_frames=n_frames))
        assert (proxy.step, proxy.n_frames) == (step, n_frames)
    else:
        with pytest.raises(ValueError, match=f"a proxy of 5 frames, for a clip of {n_frames} with proxy_step {step}"):
            open_proxy(data, facts(proxy_step=step, n_frames=n_frames))


def test_a_thinned_proxy_shows_the_nearest_frame_that_it_has_and_of_two_the_later() -> None:
    found = decode.Proxy(CLIP, step=3, n_frames=15).read([0, 1, 2, 6, 13, 14])
    halves = decode.Proxy(CLIP, step=2, n_frames=10).read([0, 1, 7, 9])

    assert [round(found[f].mean() / 20) for f in (0, 1, 2, 6, 13, 14)] == [0, 0, 1, 2, 4, 4]
    assert [round(halves[f].mean() / 20) for f in (0, 1, 7, 9)] == [0, 1, 4, 4]


@pytest.mark.parametrize(
    ("rotation", "shown"),
    [(0, "ab/cd"), (360, "ab/cd"), (90, "ca/db"), (180, "dc/ba"), (270, "bd/ac"), (-90, "bd/ac"), (450, "ca/db")],
)
def test_a_picture_is_turned_clockwise_to_be_upright(rotation: int, shown: str) -> None:
    picture = np.array([[1, 2], [3, 4]], np.uint8)[..., None].repeat(3, 2)
    names = {1: "a", 2: "b", 3: "c", 4: "d"}

    found = upright(picture, facts(rotation=rotation))

    assert "/".join("".join(names[int(pixel)] for pixel in row) for row in found[..., 0]) == shown


@pytest.mark.parametrize(("source", "member"), [("prepared", "m4v"), ("prepared", "txt"), ("whole", "mp4")])
def test_a_member_that_is_missing_is_named(sample, source: str, member: str) -> None:
    with pytest.raises(SampleBroken, match=f"has no member {member}$"):
        decode_sample({name: data for name, data in sample.members.items() if name != member}, source, VIEWS, None)


def test_a_still_in_place_of_its_neighbour_is_taken_only_where_segments_would_leave_the_clip() -> None:
    stills = [0, 10, 20, 89, 90, 99]

    assert nearest_stills([5, 95], stills, margin=10, n_frames=100) == [1, 3], "10 to 89 are inside"
    assert nearest_stills([50], stills, margin=10, n_frames=100) == [2]
    assert nearest_stills([15], [10, 20], margin=0, n_frames=100) == [0], "of two as near the first"
    assert nearest_stills([5, 95, 95, 95], stills, margin=10, n_frames=100) == [0, 3, 4, 5], "too few are inside"


def test_training_shows_no_still_whose_segment_would_leave_the_clip_while_there_is_another(
    sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of forty frames with three frames three apart on either side: 9 to 30. Stills show 12 and 32."""
    document = json.loads(sample.members["json"])
    stills = json.dumps([still for still in json.loads(document["stills"]) if still["frame"] in (12, 32)])
    members = {**sample.members, "json": json.dumps({**document, "stills": stills}).encode()}
    taken: list[int] = []
    read = decode.read_still
    monkeypatch.setattr(decode, "read_still", lambda mjpg, still, *_: taken.append(still.frame) or read(mjpg, still))

    for seed in range(6):
        decode_sample(members, "prepared", Views((160, 256), (40, 64), 7, 1, 3), np.random.default_rng(seed))

    assert taken == [12] * 6
