"""Pictures that are displayed other than they are stored."""

from pathlib import Path

import av
import numpy as np
import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.convert import convert, needs_conversion
from pipeline.media.probe import Unusable, probe, refuse_unfit

SMALL = {"width": 320, "height": 180}


def reason_of(film: Path) -> Reason | None:
    try:
        refuse_unfit(probe(film), CutConfig(min_short_side=0))
    except Unusable as fault:
        return fault.reason
    return None


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ((1, 0, 0, 1), None),
        ((0, 1, -1, 0), None),
        ((-1, 0, 0, -1), None),
        ((-1, 0, 0, 1), Reason.UNSUPPORTED_MEDIA),
        ((0, 1, 1, 0), Reason.UNSUPPORTED_MEDIA),
        ((0.7, 0.7, -0.7, 0.7), Reason.UNSUPPORTED_MEDIA),
    ],
)
def test_pictures_that_are_displayed_mirrored_or_askew_are_rejected_or_converted(
    matrix: tuple[float, ...], reason: Reason | None, tmp_path: Path
) -> None:
    """FFmpeg gives a mirrored picture's rotation as 180 degrees: proxies of it would stand upside down."""
    film = with_display_matrix(a_video(tmp_path / "film.mp4", seconds=0.4, audio="", **SMALL), *matrix)
    source = probe(film)

    assert reason_of(film) is reason
    assert needs_conversion(source) is (reason is not None)
    if matrix == (-1, 0, 0, 1):
        copy = convert(source, tmp_path / "copy.mp4", CutConfig(), MediaLimits())
        with av.open(str(film)) as before, av.open(str(copy)) as after:
            stored, upright = (next(c.decode(video=0)).to_ndarray(format="gray").astype(int) for c in (before, after))
        assert np.abs(stored[:, ::-1] - upright).mean() < 3 and reason_of(copy) is None


def with_display_matrix(film: Path, *matrix: float) -> Path:
    """Writes (a, b, c, d) into the mp4's header of the video track (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
    film.write_bytes(data)
    return film
