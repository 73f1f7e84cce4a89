"""Remuxed clips: the frames of their span, copied."""

import math
from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
from pipeline.testing.readers import codes_by_pyav
from pipeline.testing.video import Film, a_video
from tests.pipeline.media.cutting.films import FILMS, SMALL, SPANS, cut, film_at, wanted_codes


@pytest.mark.parametrize("name", FILMS)
def test_a_remuxed_clip_holds_exactly_the_frames_of_its_span(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film_at(films, name)
    for n, clip in cut(path, SPANS).items():
        span = SPANS[n]
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        codes = codes_by_pyav(file)
        inside = codes[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == wanted_codes(path, span)
        assert len(inside) == clip.n_frames


def test_a_keyframe_clip_says_that_it_begins_at_the_keyframe(films: Path, tmp_path: Path) -> None:
    path, film = film_at(films, "30 fps with B-frames")
    clip = cut(path, [SPANS[0]], mode="keyframe")[0]
    assert isinstance(clip, CutClip)
    assert clip.mode == "keyframe"
    assert clip.first_frame == 0
    assert clip.start_ms == math.floor(1000 * 75 / film.fps)  # the keyframe at frame 75, before 3000 ms
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip.mp4)
    assert codes_by_pyav(file)[: clip.n_frames] == wanted_codes(path, Span(0, clip.start_ms, clip.end_ms))


@pytest.mark.parametrize("mode", ["remux", "keyframe"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_clip_that_begins_on_a_keyframe_carries_no_group_before_it(films: Path, mode: str, suffix: str) -> None:
    path = films / f"every-second.{suffix}"
    a_video(path, Film(seconds=5, gop=25, audio="", **SMALL))

    clip = cut(path, [Span(0, 2000, 4000)], mode=mode)[0]

    assert isinstance(clip, CutClip)
    assert (clip.start_ms, clip.first_frame, clip.n_frames) == (2000, 0, 50)


def test_a_keyframe_too_far_back_is_a_reject_that_names_the_cure(films: Path) -> None:
    path, _ = film_at(films, "one long GOP")
    failure = cut(path, [SPANS[5]], max_preroll_ms=2000)[5]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA
    assert "exact" in failure.detail
