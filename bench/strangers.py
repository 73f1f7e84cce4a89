"""Counts pairs of different films that are called the same, with the same logo or subtitle bar over all of them.

`bench.duplicates` runs it: the samples are cut into films of 4 s, and drawn films fill up to FILMS. Pieces of one
sample are not compared with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hdvila_testing.video import Film, draw_picture
from pipeline.config.media import MediaLimits
from pipeline.likeness.same import Likeness, are_same
from pipeline.likeness.shown import kept_in
from pipeline.media.decode_pass import HASH_EVERY_MS, hash_interval_ms
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, Stretch, decode_video
from pipeline.media.phash import ClipHashes, Hashes, unpack_hashes
from pipeline.media.planes import luma_of
from pipeline.media.probe import Unusable, probe

FILMS = 460
PIECE_MS = 4000
SETTINGS = {"as they are": (), "one logo": ("logo",), "one bar": ("bar",), "logo and bar": ("logo", "bar")}

Luma = NDArray[np.uint8]


def lumas(path: Path, end_ms: int) -> Iterator[tuple[int, Luma]]:
    """Yields (time in ms, small brightness) of the frames that the media stage hashes of a film's clip from its first
    frame to `end_ms`. Raises Unusable.
    """
    source, due_ms = probe(path), 0
    every_ms = hash_interval_ms(min(end_ms, source.duration_ms))
    scaler = Scaler(source, SMALL_SHORT_SIDE, "yuv420p")
    for item in decode_video(source, MediaLimits(), [Stretch(0, end_ms)]):
        if isinstance(item, Picture) and item.time_ms >= due_ms:
            due_ms = (item.time_ms // every_ms + 1) * every_ms
            yield item.time_ms, luma_of(scaler(item.frame))


def distinct_hashes(pictures: Sequence[Luma], rule: Likeness) -> Hashes:
    """The distinct pictures of a clip, as the balance has them."""
    clip = ClipHashes()
    for luma in pictures:
        clip.add(luma)
    hashes = unpack_hashes(clip.packed())
    return hashes[kept_in(hashes, np.array([len(hashes)]), rule.max_distance)]


def pieces(paths: Sequence[Path], n_films: int) -> Iterator[tuple[str, list[Luma]]]:
    """Yields (name of the film, pictures) of pieces of 4 s, drawn ones last."""
    n_left = n_films
    for path in paths:
        try:
            piece: list[Luma] = []
            for time_ms, luma in lumas(path, 125_000):
                if time_ms % PIECE_MS < HASH_EVERY_MS and len(piece) > PIECE_MS // HASH_EVERY_MS // 2:
                    n_left -= 1
                    yield path.name, piece
                    piece = []
                piece.append(luma.copy())
        except (Unusable, ValueError):
            continue
    for seed in range(n_left):
        yield f"drawn {seed}", drawn(seed)


def drawn(seed: int) -> list[Luma]:
    """Two moving drawn scenes of 2 s each."""
    n = PIECE_MS // HASH_EVERY_MS
    film = Film(width=320, height=180, cuts=(0,) * (2 * seed) + (n // 2,))
    return [np.asarray(cv2.cvtColor(draw_picture(film, i), cv2.COLOR_RGB2GRAY), np.uint8) for i in range(n)]


def covered(luma: Luma, what: Sequence[str]) -> Luma:
    """Covers a picture with a white logo in its upper right corner, or a bar with a line of white text at its foot."""
    height, width = luma.shape
    luma = luma.copy()
    if "logo" in what:
        luma[round(height * 0.05) : round(height * 0.17), round(width * 0.8) : round(width * 0.95)] = 235
    if "bar" in what:
        luma[round(height * 0.85) : round(height * 0.95), round(width * 0.1) : round(width * 0.9)] = 16
        top = round(height * 0.87)
        for x in range(round(width * 0.2), round(width * 0.8), 8):
            luma[top : top + 10, x : x + 5] = 235
    return luma


def report(paths: Sequence[Path], rule: Likeness, n_films: int = FILMS) -> None:
    """Prints the pairs that are called the same, for each setting."""
    films = list(pieces(paths, n_films))
    for name, what in SETTINGS.items():
        hashed = [(film, distinct_hashes([covered(luma, what) for luma in shown], rule)) for film, shown in films]
        comparable = [(film, hashes) for film, hashes in hashed if len(hashes) >= rule.min_frames]
        n_pairs, wrong = 0, []
        for i, (film, hashes) in enumerate(comparable):
            for other, others in comparable[:i]:
                if film != other:
                    n_pairs += 1
                    if are_same(hashes, others, rule, rule.min_share):
                        wrong.append(f"{film} and {other}")
        print(f"strangers, {name}: {len(wrong)} of {n_pairs} pairs called the same {'; '.join(wrong[:3])}", flush=True)
