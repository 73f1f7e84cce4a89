"""Three attributes that other views show: what the low-resolution view can and cannot see of a drawn clip."""

import numpy as np

from bench.learning.attributes import (
    COLOURS,
    HATCHINGS,
    N_FRAMES,
    WAYS,
    Scene,
    all_scenes,
    frames_of,
)


def test_there_is_a_scene_for_each_combination_and_its_caption_names_it() -> None:
    scenes = all_scenes()
    assert len(scenes) == len({scene.caption for scene in scenes}) == len(COLOURS) * len(HATCHINGS) * len(WAYS)
    assert "red ball rolls up over rising" in Scene("red", "rising", "up").caption


def test_a_scene_is_drawn_alike_and_its_seed_changes_it() -> None:
    first, again, other = (list(frames_of(Scene("blue", "level", "left", seed))) for seed in (1, 1, 2))
    assert len(first) == N_FRAMES and all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_way_and_its_opposite_show_the_same_frames_in_turn() -> None:
    left, right = (list(frames_of(Scene("red", "level", way))) for way in ("left", "right"))

    def centres(frames):
        red = [(f[..., 0].astype(int) - f[..., 2] > 100) for f in frames]
        return [float(np.nonzero(mask)[1].mean()) for mask in red]

    assert all(a > b for a, b in zip(centres(left), centres(left)[1:], strict=False))
    assert all(a < b for a, b in zip(centres(right), centres(right)[1:], strict=False))
