"""Exact clips: encoded, first frame to last."""

from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
from pipeline.testing.readers import codes_by_pyav
from tests.pipeline.media.cutting.films import FILMS, SPANS, cut, film_at, wanted_codes


@pytest.mark.parametrize("name", [n for n in FILMS if n != "10 bits"])
def test_an_exact_clip_begins_and_ends_with_the_frames_of_its_span(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film_at(films, name)
    for n, clip in cut(path, SPANS, mode="exact", exact_preset="ultrafast", exact_crf=16).items():
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        assert clip.first_frame == 0
        assert codes_by_pyav(file) == wanted_codes(path, SPANS[n])


def test_exact_refuses_ten_bits_rather_than_lose_two(films: Path) -> None:
    path, _ = film_at(films, "10 bits")
    failure = cut(path, [SPANS[2]], mode="exact")[2]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA


def test_h264_in_444_is_a_reject_of_its_own(samples: Path) -> None:
    path = samples / "videos" / "imageio-binaries__cockatoo.mp4"
    failure = cut(path, [Span(0, 1000, 5000)])[0]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA
    assert isinstance(cut(path, [Span(0, 1000, 2000)], mode="exact")[0], CutClip)


def test_exact_says_that_pictures_of_odd_size_cannot_be_encoded(samples: Path) -> None:
    path = samples / "videos" / "media__bear-vp9-odd-dimensions.webm"
    [clip] = cut(path, [Span(0, 0, 800)], mode="exact").values()
    assert isinstance(clip, CutFailure)
    assert (clip.reason, "161x121" in clip.detail) == (Reason.UNSUPPORTED_MEDIA, True)
