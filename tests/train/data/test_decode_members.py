"""What a sample's json says of its clip, and the stills and proxies that it leads to: bounds, order and names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hdvila_testing.drawn_set import Shape, a_sample, a_sample_json
from manifests.sample import SampleJson
from train.data import decode
from train.data.decode import (
    SampleBroken,
    decode_sample,
    upright,
)
from train.data.views import Views

VIEWS = Views((160, 256), (40, 64), 7, 2, 3)


@pytest.fixture(scope="module")
def sample():
    return a_sample(shape=Shape(n_frames=40, first_frame=7))


def facts(**changes: object) -> SampleJson:
    return a_sample_json().model_copy(update={"width": 320, "height": 180, "n_frames": 10, **changes})


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
