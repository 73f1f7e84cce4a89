"""Keys and KEY.json: unique, readable by every tar reader, one type a key."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hdvila_testing.shards import tiny_members
from manifests.sample import DEFAULTS, MEMBER_ORDER, SampleJson, clip_id, is_video_id, read_sample, sample_key

VIDEO_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
NUMBERS = st.integers(0, 10**6)


@given(VIDEO_IDS, NUMBERS, VIDEO_IDS, NUMBERS)
def test_two_clips_never_share_a_key(video_a, n_a, video_b, n_b):
    if (video_a, n_a) != (video_b, n_b):
        assert sample_key(video_a, n_a) != sample_key(video_b, n_b)


@given(VIDEO_IDS, NUMBERS)
def test_a_key_has_no_dot_and_no_slash_and_fits_a_tar_header(video, n):
    key = sample_key(video, n)
    assert re.fullmatch(r"[A-Za-z0-9_-]+_\d{5,}", key) and len(f"{key}.json") <= 100
    assert clip_id(video, n) == f"{video}.{n}"


@pytest.mark.parametrize("text", ["", "a.b", "a/b", "../etc", "a b", "ü", "x" * 65, "a\n", "-\0"])
def test_what_would_not_be_safe_in_a_path_is_no_video_id(text: str):
    assert not is_video_id(text)


def _facts() -> dict:
    return json.loads(tiny_members("abc", 1, category_id=27, channel_id="UC")["json"])


def test_the_promised_keys_are_there():
    promised = (
        "clip_id video_id url category_id start_ms end_ms planned_start_ms planned_end_ms offset_ms duration_ms "
        "first_frame n_frames words language caption_kind width height fps codec scene_cuts license versions"
    )
    assert set(promised.split()) <= SampleJson.model_fields.keys()


def test_every_key_has_one_plain_type_so_that_readers_can_infer_a_schema():
    kinds = {name: field.annotation for name, field in SampleJson.model_fields.items()}
    assert all(kind in (str, int, float, bool) or name == "cut_mode" for name, kind in kinds.items()), kinds


@pytest.mark.parametrize("name", sorted(SampleJson.model_fields))
def test_no_key_can_be_null(name: str):
    with pytest.raises(ValidationError, match=name):
        SampleJson.model_validate({**_facts(), name: None})


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="surprise"):
        SampleJson.model_validate({**_facts(), "surprise": 1})


def test_what_is_written_is_read_back():
    sample = SampleJson.model_validate(_facts())
    assert SampleJson.model_validate_json(sample.model_dump_json()) == sample


def test_a_key_of_a_later_version_is_kept_and_a_missing_one_has_its_default() -> None:
    facts = _facts()
    del facts["motion"], facts["stills"]
    facts["hue"] = 2

    sample = read_sample(json.dumps(facts).encode())

    assert (sample.motion, sample.stills) == (-1.0, "[]")
    assert sample.model_extra == {"hue": 2}


def test_every_key_has_a_default_of_its_own_type() -> None:
    lone = read_sample(b"{}")

    assert DEFAULTS.keys() | {"schema_version"} == SampleJson.model_fields.keys()
    assert SampleJson.model_validate(lone.model_dump())


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"schema_version": 2}', b'{"n_frames": "40"}', b'{"title": null}'])
def test_what_is_no_sample_or_means_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_sample(data)


def test_members_come_in_the_order_of_the_format():
    assert MEMBER_ORDER == ("mp4", "txt", "json", "m4v", "mjpg", "mel.npy", "flac", "opus")
