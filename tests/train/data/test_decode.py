"""Which pixels a sample becomes: the right frames, the right part of the picture, from either kind of members."""

from __future__ import annotations

import io
import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.drawn_set import Scene, Shape, a_sample, encode_mp4, read_number
from manifests.sample import SampleJson
from train.data.decode import SampleBroken, choose_centres, decode_sample, frames_around, nearest_stills
from train.data.views import Views

VIEWS = Views(high=(160, 256), low=(40, 64), n_frames=7, n_segments=2, stride=3)
SHAPE = Shape(n_frames=40, first_frame=7)


def shown(pixels: np.ndarray) -> int:
    """The frame number in a centre-cropped view `[3, h, w]`."""
    return read_number(pixels.transpose(1, 2, 0), box=(32 / 320, 10 / 180, 288 / 320, 170 / 180))


@pytest.fixture(scope="module")
def sample():
    return a_sample(shape=SHAPE)


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_the_whole_mp4_gives_frames_counted_from_first_frame(sample, backend):
    views = Views(VIEWS.high, VIEWS.low, 7, 2, 3, backend)

    clip = decode_sample(sample.members, "whole", views, None)

    centres, stride = choose_centres(40, views, None)
    assert [shown(p) for p in clip.img_middle] == centres
    assert [[shown(p) for p in s] for s in clip.img_other] == [frames_around(c, stride, 40, views) for c in centres]


def test_prepared_members_give_the_still_nearest_the_centre_and_the_frames_around_it(sample):
    clip = decode_sample(sample.members, "prepared", VIEWS, None)

    facts = json.loads(sample.members["json"])
    stills = [still["frame"] for still in json.loads(facts["stills"])]
    middles = [shown(p) for p in clip.img_middle]
    assert set(middles) <= set(stills)
    assert [[shown(p) for p in s] for s in clip.img_other] == [frames_around(m, 3, 40, VIEWS) for m in middles]


@pytest.mark.parametrize("stride", [2, 3])
def test_frames_of_a_thinned_proxy_are_those_of_the_clip_and_else_the_ones_beside(sample, stride):
    """Stills stand on frames that it has: with an even stride every frame is the one that was asked for."""
    pictures = [Scene().draw(n, 320, 180) for n in range(SHAPE.n_frames)]
    stills = [s for s in json.loads(json.loads(sample.members["json"])["stills"]) if s["frame"] % 2 == 0]
    facts = {**json.loads(sample.members["json"]), "proxy_step": 2, "stills": json.dumps(stills)}
    thinned = _without(sample, m4v=encode_mp4(pictures[::2], SHAPE.fps), json=json.dumps(facts).encode())
    views = replace(VIEWS, stride=stride)

    clip = decode_sample(thinned, "prepared", views, None)

    middles = [shown(p) for p in clip.img_middle]
    assert set(middles) <= {still["frame"] for still in stills}
    wanted = [frames_around(m, choose_centres(SHAPE.n_frames, views, None)[1], SHAPE.n_frames, views) for m in middles]
    assert [[shown(p) for p in s] for s in clip.img_other] == [
        [min(f + f % 2, SHAPE.n_frames - 2) for f in frames] for frames in wanted
    ]


def test_a_thinned_proxy_of_another_length_than_its_json_says_is_a_broken_sample(sample):
    facts = json.dumps({**json.loads(sample.members["json"]), "proxy_step": 2}).encode()
    with pytest.raises(SampleBroken, match="for a clip of 40 with proxy_step 2"):
        decode_sample(_without(sample, json=facts), "prepared", VIEWS, None)


def test_both_sources_show_the_same_part_of_the_scene(sample):
    views = Views(VIEWS.high, VIEWS.low, 7, 1, 1)
    prepared = decode_sample(sample.members, "prepared", views, None)
    frame = shown(prepared.img_middle[0])
    facts = SampleJson.model_validate_json(sample.members["json"])
    only = facts.model_copy(update={"first_frame": facts.first_frame + frame - 3, "n_frames": 7})

    whole = decode_sample({**sample.members, "json": only.model_dump_json().encode()}, "whole", views, None)

    assert shown(whole.img_middle[0]) == frame
    assert np.abs(whole.img_middle.astype(int) - prepared.img_middle).mean() < 4
    assert np.abs(whole.img_other.astype(int) - prepared.img_other).mean() < 4


def test_views_of_720p_equal_a_naive_loaders_within_one_grey_level():
    cv2, decord = pytest.importorskip("cv2"), pytest.importorskip("decord")
    sample = a_sample(shape=Shape(width=1280, height=720, n_frames=14, first_frame=2, prepared=False))
    views = Views((640, 1024), (160, 256), 7, 1, 2)

    clip = decode_sample(sample.members, "whole", views, np.random.default_rng(5))

    draw = np.random.default_rng(5)  # the same draws: a centre, then a crop
    centre = 6 + int(draw.choice(2, 1, replace=False)[0])
    x, y = 4 * int(draw.integers(0, 65)), 4 * int(draw.integers(0, 21))

    reader = decord.VideoReader(io.BytesIO(sample.members["mp4"]))
    frames = reader.get_batch([2 + centre + 2 * k for k in range(-3, 4)]).asnumpy()[:, y : y + 640, x : x + 1024]
    low = [cv2.resize(f, (256, 160), interpolation=cv2.INTER_CUBIC) for i, f in enumerate(frames) if i != 3]
    assert np.abs(clip.img_middle[0].transpose(1, 2, 0).astype(int) - frames[3]).max() <= 1
    assert np.abs(clip.img_other[0].transpose(0, 2, 3, 1).astype(int) - np.stack(low)).max() <= 1


@given(st.integers(1, 400), st.integers(1, 8), st.integers(1, 20), st.sampled_from([3, 5, 7]), st.integers(0, 2**32))
def test_every_chosen_frame_lies_inside_the_clip(n_frames, segments, stride, n, seed):
    for fps in (0.0, 7.0, 60.0):
        _assert_inside(Views((64, 64), (16, 16), n, segments, stride, fps=fps), n_frames, seed)


def _assert_inside(views, n_frames, seed):
    n, segments, stride = views.n_frames, views.n_segments, views.stride * views.step(25.0)
    for draw in (None, np.random.default_rng(seed)):
        centres, used = choose_centres(n_frames, views, draw, 25.0)

        assert len(centres) == segments and centres == sorted(centres) and 0 <= used <= stride
        frames = [f for c in centres for f in [c, *frames_around(c, used, n_frames, views)]]
        assert all(0 <= f < n_frames for f in frames)
        if n_frames >= 2 * math.ceil((n // 2) * stride) + segments:
            assert used == stride and len(set(centres)) == segments


def test_a_clip_too_short_for_the_stride_gets_hd_vilas_shorter_one():
    views = Views((64, 64), (16, 16), 7, 2, 12)

    assert choose_centres(74, views, None)[1] == 12
    assert choose_centres(73, views, None)[1] == (73 - 2) // 6
    assert choose_centres(3, views, None)[1] == 0


@given(st.lists(st.integers(0, 300), min_size=1, max_size=9, unique=True).map(sorted), st.integers(1, 4), st.data())
def test_segments_take_different_stills_while_there_are_enough(stills, segments, data):
    wanted = data.draw(st.lists(st.integers(0, 300), min_size=segments, max_size=segments))

    chosen = nearest_stills(wanted, stills, margin=30, n_frames=301)

    assert len(set(chosen)) == min(segments, len(stills))


def test_augmentation_is_a_function_of_its_seed(sample):
    one, same, other = (decode_sample(sample.members, "prepared", VIEWS, np.random.default_rng(s)) for s in (1, 1, 2))

    assert np.array_equal(one.img_middle, same.img_middle) and np.array_equal(one.img_other, same.img_other)
    assert not np.array_equal(one.img_other, other.img_other)


@pytest.mark.parametrize("source", ["prepared", "whole"])
def test_a_flip_mirrors_both_views_and_evaluation_never_does(sample, source):
    mirrored, plain = replace(VIEWS, flip=1.0), VIEWS

    one, other = (decode_sample(sample.members, source, v, np.random.default_rng(1)) for v in (mirrored, plain))
    assert np.array_equal(one.img_middle[..., ::-1], other.img_middle)
    assert np.array_equal(one.img_other[..., ::-1], other.img_other)

    one, other = (decode_sample(sample.members, source, v, None) for v in (mirrored, plain))
    assert np.array_equal(one.img_middle, other.img_middle)


@pytest.mark.parametrize(("fps", "apart"), [(6.0, 6), (4.0, 9), (30.0, 3)])
def test_a_stride_at_a_rate_counts_frames_at_that_rate(sample, fps, apart):
    views = Views(VIEWS.high, VIEWS.low, 3, 1, 3, fps=fps)  # the film has 12 frames/s

    clip = decode_sample(sample.members, "whole", views, None)

    before, after = (shown(p) for p in clip.img_other[0])
    centre = shown(clip.img_middle[0])
    assert (centre - before, after - centre) == (apart, apart)


def test_a_stride_that_is_not_whole_in_the_sources_frames_stays_true_over_a_segment():
    views = Views((64, 64), (16, 16), 7, 1, 4, fps=6.0)

    centres, stride = choose_centres(200, views, None, source_fps=25.0)

    assert stride == pytest.approx(4 * 25 / 6)
    assert frames_around(100, stride, 200, views) == [50, 67, 83, 117, 133, 150]
    assert centres == [100]


def _without(sample, **changes):
    return {**sample.members, **changes}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"txt": b"  \n"}, "caption is empty"),
        ({"txt": b"\xff\xfe"}, "UnicodeDecodeError"),
        ({"json": b"{}"}, "a picture of 0x0"),
        ({"json": b"{"}, "JSONDecodeError"),
        ({"m4v": b"not a video"}, "cannot be decoded"),
        ({"mjpg": b"\xff\xd8\xff garbage" * 4000}, "cannot be decoded"),
    ],
)
def test_a_damaged_member_is_a_broken_sample_with_its_reason(sample, change, reason):
    with pytest.raises(SampleBroken, match=reason):
        decode_sample(_without(sample, **change), "prepared", VIEWS, None)


@pytest.mark.parametrize("source", ["prepared", "whole"])
@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": -3},
        {"width": 10**400},
        {"n_frames": 0},
        {"n_frames": 10**12},
        {"first_frame": -9},
        {"rotation": 10**30},
        {"fps": "NaN"},
    ],
    ids=str,
)
def test_numbers_that_no_clip_has_break_the_sample_and_not_the_run(sample, source, change):
    facts = json.dumps({**json.loads(sample.members["json"]), **change}).encode()
    with suppress(SampleBroken):
        decode_sample(_without(sample, json=facts), source, VIEWS, None)


@pytest.mark.parametrize(
    "stills",
    [
        "[" * 100_000,
        "[[[]]]",
        "7",
        '[{"offset": 0}]',
        '[{"offset": -5, "size": 99, "frame": 1}]',
        '[{"offset": 0, "size": 99999999999, "frame": 1}]',
        '[{"offset": 0, "size": 900, "frame": 4000}]',
        "[]",
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_list_of_stills_is_a_broken_sample(sample, stills):
    facts = json.dumps({**json.loads(sample.members["json"]), "stills": stills}).encode()
    with pytest.raises(SampleBroken, match="cannot be decoded"):
        decode_sample(_without(sample, json=facts), "prepared", VIEWS, None)


def test_an_error_of_this_program_is_no_verdict_on_a_sample(sample):
    with pytest.raises(TypeError):
        decode_sample(sample.members, "prepared", replace(VIEWS, stride="two"), None)


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize("keep", [0, 100, 0.6])
def test_an_mp4_that_was_cut_short_is_a_broken_sample(sample, backend, keep):
    data = sample.members["mp4"]
    views = Views(VIEWS.high, VIEWS.low, 7, 2, 3, backend)
    short = data[: int(keep * len(data)) if isinstance(keep, float) else keep]

    with pytest.raises(SampleBroken):
        decode_sample(_without(sample, mp4=short), "whole", views, None)


def test_a_playlist_named_mp4_opens_nothing(sample, tmp_path):
    (tmp_path / "secret.ts").write_bytes(b"x")
    playlist = f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.ts\n".encode()

    with pytest.raises(SampleBroken, match="cannot be decoded"):
        decode_sample(_without(sample, mp4=playlist), "whole", VIEWS, None)
