"""Exact clips: what is encoded and what is refused; test_cutting.py looks at the frames that they hold."""

from pathlib import Path

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
from tests.pipeline.media.cutting.films import SPANS, cut, film_at


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
