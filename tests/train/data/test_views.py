"""What each `data.view` shows of a clip: the right frames, at the right resolution, from either kind of members."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from hdvila_testing.drawn_set import Shape, a_sample, read_number
from manifests.errors import UserError
from tests.train.model_cases import small_config
from train.data.decode import ClipView, choose_centres, decode_sample, frames_around, make_view
from train.data.loader import nothing
from train.data.video import open_clip
from train.data.views import Views, arrange
from train.evaluation.encoder import hybrid_views
from train.models import build_model

HYBRID = Views(high=(160, 256), low=(40, 64), n_frames=7, n_segments=2, stride=3)


def shown(pixels: np.ndarray) -> int:
    return read_number(pixels.transpose(1, 2, 0), box=(32 / 320, 10 / 180, 288 / 320, 170 / 180))


@pytest.fixture(scope="module")
def sample():
    return a_sample(shape=Shape(n_frames=40, first_frame=7, n_stills=5))


@pytest.mark.parametrize("source", ["whole", "prepared"])
def test_high_is_hybrids_still_and_low_all_frames_of_its_segments(sample, source):
    hybrid, high, low = (
        decode_sample(sample.members, source, replace(HYBRID, view=view), None) for view in ("hybrid", "high", "low")
    )

    assert np.array_equal(high.img_middle, hybrid.img_middle) and high.img_other is None
    assert low.img_middle is None and low.img_other.shape == (2, 7, 3, 40, 64)
    assert np.array_equal(np.delete(low.img_other, 3, axis=1), hybrid.img_other)
    assert [shown(s[3]) for s in low.img_other] == [shown(p) for p in hybrid.img_middle]


@pytest.mark.parametrize("source", ["whole", "prepared"])
def test_mean_is_the_average_of_lows_frames(sample, source):
    low, mean = (decode_sample(sample.members, source, replace(HYBRID, view=view), None) for view in ("low", "mean"))

    assert mean.img_middle is None and mean.img_other.shape == (2, 1, 3, 40, 64)
    assert np.abs(mean.img_other[:, 0] - low.img_other.astype(float).mean(1)).max() <= 0.5


def test_low_upscaled_has_hybrids_shapes_and_none_of_its_detail(sample):
    hybrid = decode_sample(sample.members, "prepared", HYBRID, None)

    blown_up = decode_sample(sample.members, "prepared", replace(HYBRID, view="low_upscaled"), None)

    assert blown_up.img_middle.shape == hybrid.img_middle.shape
    assert np.array_equal(blown_up.img_other, hybrid.img_other)
    assert [shown(p) for p in blown_up.img_middle] == [shown(p) for p in hybrid.img_middle]
    low = decode_sample(sample.members, "prepared", replace(HYBRID, view="low"), None)
    for large, small in zip(blown_up.img_middle, low.img_other[:, 3], strict=True):
        wanted = Image.fromarray(small.transpose(1, 2, 0)).resize((256, 160), Image.Resampling.BICUBIC)
        assert np.array_equal(large.transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("view", ["hybrid", "high", "low", "mean", "low_upscaled", "image"])
def test_a_model_takes_each_view_and_trains_only_what_its_pictures_pass_through(sample, view):
    views = Views((64, 128), (16, 32), 3, 1, 2, view=view)
    clip = decode_sample(sample.members, "prepared", views, None)
    model = build_model(small_config(high=(64, 128), n_frames=3, n_segments=1), seed=0, view=view)

    inputs = (None if x is None else torch.from_numpy(x)[None] for x in (clip.img_middle, clip.img_other))
    model.double().embed_video(*inputs).sum().backward()

    of_video = {n: p for n, p in model.named_parameters() if p.requires_grad and not n.startswith(("tr", "temp"))}
    assert of_video and all(p.grad is not None for p in of_video.values())
    blank = nothing(views)
    for own, theirs in ((clip.img_middle, blank.img_middle), (clip.img_other, blank.img_other)):
        assert (own is None) == (theirs is None) and (own is None or own.shape == theirs.shape[1:])


@pytest.mark.parametrize("view", ["high", "low", "mean", "low_upscaled"])
def test_inference_takes_the_view_that_evaluation_takes(sample, view):
    views = replace(HYBRID, view=view)
    clip = open_clip(sample.members["mp4"])
    first = 7

    seen = decode_sample(sample.members, "whole", views, None)

    def read(numbers):
        return {n - first: picture for n, picture in clip.read([first + n for n in numbers]).items()}

    middle, other = hybrid_views(read, 40, views)

    for own, theirs in ((middle, seen.img_middle), (other, seen.img_other)):
        assert (own is None and theirs is None) or np.array_equal(own.numpy(), theirs)
    assert choose_centres(40, views, None)[0] == choose_centres(40, HYBRID, None)[0]
    assert len(frames_around(20, 3, 40, views)) == 6


@pytest.mark.parametrize(
    ("fps", "source", "step"), [(0, 25, 1), (12.5, 25, 2), (24, 25, 25 / 24), (25, 25, 1), (50, 25, 1), (10, 0, 1)]
)
def test_a_counted_frame_is_as_many_of_the_source_as_it_has_more_and_never_less_than_one(fps, source, step):
    assert replace(HYBRID, fps=fps).step(source) == step


@pytest.mark.parametrize(
    ("view", "middle", "other", "low"),
    [
        ("hybrid", True, 2, [4, 6]),
        ("high", True, 0, []),
        ("low", False, 3, [4, 5, 6]),
        ("mean", False, 1, [4, 5, 6]),
        ("low_upscaled", True, 2, [4, 5, 6]),
        ("image", True, 0, []),
    ],
)
def test_each_view_has_its_pictures_and_reads_just_the_frames_for_them(view, middle, other, low):
    views = Views((16, 32), (4, 8), 3, 2, 1, view=view)
    blank = views.blank()

    assert (views.has_middle, views.n_other, views.n_pictures) == (middle, other, 2 * (other + middle))
    assert views.low_frames(5, [4, 6]) == low
    shapes = {"img_middle": (2, 3, 16, 32)} if middle else {}
    shapes |= {"img_other": (2, other, 3, 4, 8)} if other else {}
    assert {name: array.shape for name, array in blank.items()} == shapes
    assert all(array.dtype == np.uint8 and not array.any() for array in blank.values())


def test_a_view_is_made_of_the_runs_model_and_data_and_an_image_has_one_segment() -> None:
    model = SimpleNamespace(high=(64, 128), low=(16, 32), n_frames=5, n_segments=3, kind="hd_vila")
    data = SimpleNamespace(stride=4, backend="decord", fps=6.0, flip=0.5)
    config = SimpleNamespace(model=model, data=data)

    assert make_view("low", config) == ClipView((64, 128), (16, 32), 5, 3, 4, "decord", "low", 6.0, 0.5)
    assert make_view("image", config).n_segments == 1
    with pytest.raises(UserError, match=r"model\.kind soho needs view picture"):
        make_view("high", SimpleNamespace(model=SimpleNamespace(kind="soho"), data=data))


CENTRES, AROUND = [2, 6], [[1, 3], [5, 7]]
LOW = {n: np.full((4, 8, 3), n * 10, np.uint8) for n in range(8)}
STILLS = [np.full((16, 32, 3), 200 + n, np.uint8) for n in range(2)]


def shades(view: str) -> tuple[list[int], list[int]]:
    views = Views(high=(16, 32), low=(4, 8), n_frames=3, n_segments=2, stride=1, view=view)
    return tuple([int(p[0, 0, 0]) for p in side] for side in arrange(views, CENTRES, AROUND, STILLS, LOW))


def test_an_average_is_rounded_to_the_nearest_and_a_half_upwards() -> None:
    """1 and 2 of them; of three 1/3 is left out, 2/3 count as one more."""
    for shades, wanted in (((1, 2), 2), ((0, 0, 1), 0), ((0, 1, 1), 1), ((255, 255, 255), 255), ((7,), 7)):
        views = Views((16, 32), (4, 8), len(shades), 1, 1, view="mean")
        frames = {n: np.full((4, 8, 3), shade, np.uint8) for n, shade in enumerate(shades)}
        centre = len(shades) // 2
        others = [n for n in frames if n != centre]

        _, (mean,) = arrange(views, [centre], [others], [], frames)

        assert mean.dtype == np.uint8 and (mean == wanted).all()
