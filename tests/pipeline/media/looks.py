"""What checks see of clips: drawn frames, and the reasons that they find."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.reasons import Reason
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Seen, findings
from pipeline.media.checks.look import Look
from pipeline.media.phash import N_HASHES, NOTHING, ClipHashes, PictureHashes, unpack_hashes
from pipeline.media.streams import VideoTrack


def looked_at(pictures: list[Any]) -> Look:
    look = Look()
    for i, luma in enumerate(pictures):
        if look.time(i * 500):
            look.add(luma)
    look.close(len(pictures) * 500)
    return look


def picture_hashes(luma: NDArray[np.uint8]) -> PictureHashes:
    """The hashes of a picture, by region; of one that shows nothing, NOTHING for each."""
    clip = ClipHashes()
    clip.add(luma)
    return next((tuple(hashes) for hashes in unpack_hashes(clip.packed()).tolist()), (NOTHING,) * N_HASHES)


def framed(height: int, width: int, seed: int = 0, count: int = 6) -> list[Any]:
    """Small pictures (180 x 320) with moving noise of this size in the middle of black."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        luma = rng.integers(14, 20, (180, 320), dtype=np.uint8)
        top, left = (180 - height) // 2, (320 - width) // 2
        luma[top : top + height, left : left + width] = rng.integers(60, 220, (height, width), dtype=np.uint8)
        pictures.append(luma)
    return pictures


VOICE = (0.01 * np.sin(np.arange(48_000) / 20).astype(np.float32)[None], 48_000)


def reasons(look: Look | None, track: VideoTrack, **more: Any) -> set[Reason]:
    seen = Seen(track, look, **({"audio": VOICE} | more))
    return {finding.reason for finding in findings(seen, MediaConfig())}
