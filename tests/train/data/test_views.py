"""What each `data.view` shows of a clip: the right frames, at the right resolution, from either kind of members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hdvila_testing.drawn_set import Shape, a_sample, read_number
from tests.train.model_cases import small_config
from train.data.decode import choose_centres, decode_sample, frames_around
from train.data.loader import nothing
from train.data.video import open_clip
from train.data.views import Views
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


@pytest.mark.parametrize("view", ["hybrid", "high", "low"])
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


@pytest.mark.parametrize("view", ["high", "low"])
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
