"""Exact clips: what is encoded and what is refused; test_cutting.py looks at the frames that they hold."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span, exact
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


@pytest.mark.parametrize("fact", [{"bit_depth": 9}, {"hdr": "smpte2084"}, {"coded_width": 161}, {"coded_height": 91}])
def test_encoded_pictures_have_eight_bits_and_even_sides(fact: dict[str, Any]) -> None:
    plain = {"hdr": "", "bit_depth": 8, "coded_width": 160, "coded_height": 90}
    source: Any = SimpleNamespace(video=SimpleNamespace(**plain | fact))
    config: Any = None

    (failed,) = exact.exact_clips(None, None, source, [Span(4, 0, 800)], config)

    assert isinstance(failed, CutFailure) and (failed.n, failed.reason) == (4, Reason.UNSUPPORTED_MEDIA)
    assert "use cut.mode: remux" in failed.detail


def decoding(packets: list[tuple[int, bool]], *starts: int, held: tuple[int, ...] = ()) -> tuple[list[int], list[int]]:
    """(times of the frames for jobs with these starts, of the packets that were decoded); each packet is a frame.

    The job that begins first ends once the frame at its start came.
    """
    decoded: list[int] = []

    def packet(pts: int, is_keyframe: bool) -> Any:
        def decode() -> list[Any]:
            decoded.append(pts)
            return [SimpleNamespace(pts=pts), SimpleNamespace(pts=None)]

        return SimpleNamespace(pts=pts, is_keyframe=is_keyframe, decode=decode)

    last = [SimpleNamespace(pts=pts) for pts in held]
    codec = SimpleNamespace(flush_buffers=lambda: None, decode=lambda _: last)
    waiting: Any = [SimpleNamespace(start=start) for start in starts]
    read = iter([packet(pts, key) for pts, key in packets])
    shown = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact, "packets_from", lambda *_: read)
        for frame in exact._frames_for(waiting, None, SimpleNamespace(codec_context=codec)):
            shown.append(frame.pts)
            if len(waiting) > 1 and frame.pts >= waiting[0].start:
                del waiting[0]
    return shown, decoded


def test_between_two_clips_only_what_follows_the_last_keyframe_is_decoded() -> None:
    packets = [(pts, pts % 40 == 0) for pts in range(0, 140, 10)]
    shown, decoded = decoding(packets, 0, 90)
    assert decoded == shown == [0, 80, 90, 100, 110, 120, 130]
    assert decoding(packets, 0, 80)[1] == [0, *range(80, 140, 10)], "a clip may begin at a keyframe"
    assert decoding(packets, 0, 30)[1] == list(range(0, 140, 10)), "no keyframe lies between"
    assert decoding(packets[:5], 0, 90, held=(45, 50)) == ([0, 40, 45, 50], [0, 40]), (
        "what is held at the end comes too"
    )
