"""Makes columns as wide as real ones, whole and not row by row: words, captions, signatures, picture hashes.

Widths are those of HD-VILA-100M (31 clips of 13.4 s and 32.5 words per video) and of the site's json3 tracks, about 45
bytes per word; one picture per second is hashed, and neighbours show nearly the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import WORD
from pipeline.media.phash import N_HASHES, VERSION

CLIPS_A_VIDEO = 31
CLIP_MS = 13_400
WORDS_A_CLIP = 33
SPOKEN_OUTSIDE = 0.3
"""Words of a transcript that are in no clip, per word that is."""
WORDS_A_VIDEO = round(CLIPS_A_VIDEO * WORDS_A_CLIP * (1 + SPOKEN_OUTSIDE))
PICTURES_A_CLIP = CLIP_MS // 1000
PICTURES_A_SCENE = 5
SIGNATURE_WORDS = 64
REPEATED = 0.01
"""Share of videos that are a second upload of the one before them, in pictures and words."""

_ID_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)
_VOCABULARY = 8_000


@dataclass(frozen=True)
class Draw:
    """Random columns from one seed."""

    rng: np.random.Generator
    vocabulary: pa.Array

    @classmethod
    def of(cls, seed: int) -> Draw:
        """Starts from a seed; everything that follows depends on it alone."""
        rng = np.random.default_rng(seed)
        letters = rng.integers(97, 123, (_VOCABULARY, 12), dtype=np.uint8)
        sizes = np.clip(rng.poisson(5, _VOCABULARY), 2, 12)
        words = [bytes(row[:size]).decode() for row, size in zip(letters, sizes, strict=True)]
        return cls(rng, pa.array(words))

    def ids(self, n: int) -> list[str]:
        """[n] ids of eleven letters."""
        return [bytes(row).decode() for row in _ID_LETTERS[self.rng.integers(0, 64, (n, 11))]]

    def words(self, n: int) -> pa.Array:
        """[n] words, the first ones of the vocabulary far more often than the last."""
        rank = (self.rng.random(n) ** 3 * _VOCABULARY).astype(np.int32)
        return self.vocabulary.take(pa.array(rank))

    def texts(self, n: int, n_words: int) -> pa.Array:
        """[n] sentences."""
        return joined(self.words(n * n_words), n, " ")

    def timed_words(self, texts: pa.Array, n: int) -> pa.Array:
        """[n] lists of words with their times, made from flat words."""
        size = len(texts) // n
        start = np.tile(np.arange(size, dtype=np.int64) * 400, n) + self.rng.integers(0, 60, len(texts))
        fields = [texts, pa.array(start), pa.array(start + 350), pa.array(np.ones(len(texts), dtype=np.bool_))]
        return pa.ListArray.from_arrays(
            pa.array(np.arange(n + 1, dtype=np.int32) * size), pa.StructArray.from_arrays(fields, fields=list(WORD))
        )

    def payloads(self, texts: pa.Array, n: int) -> pa.Array:
        """[n] caption tracks as they are downloaded, made from flat words."""
        at = pa.array(self.rng.integers(0, 4_000, len(texts))).cast(pa.string())
        pieces = pc.binary_join_element_wise('{"utf8":" ', texts, '","tOffsetMs":', at, "},", "")
        return joined(pieces, n, "").cast(pa.binary())

    def signatures(self, n: int) -> pa.Array:
        """[n] MinHash signatures; one in a hundred is that of the video before it."""
        values = self.rng.integers(0, 2**32, (n, SIGNATURE_WORDS), dtype=np.uint32)
        values[self._repeats(n)] = values[self._repeats(n) - 1]
        return fixed_bytes(values)

    def pictures(self, n_videos: int, n_clips: int) -> pa.Array:
        """[n_videos * n_clips] `phashes`; scenes of a few seconds in which some bits flicker."""
        n_scenes = -(-PICTURES_A_CLIP // PICTURES_A_SCENE)
        scenes = self.rng.integers(0, 2**63, (n_videos, n_clips, n_scenes, N_HASHES), dtype=np.uint64) * np.uint64(2)
        scenes[self._repeats(n_videos)] = scenes[self._repeats(n_videos) - 1]
        shown = np.repeat(scenes, PICTURES_A_SCENE, axis=2)[:, :, :PICTURES_A_CLIP]
        flicker = np.uint64(1) << self.rng.integers(0, 64, shown.shape, dtype=np.uint64)
        bodies = (shown ^ flicker).astype(">u8").reshape(n_videos * n_clips, -1).view(np.uint8)
        return fixed_bytes(np.insert(bodies, 0, VERSION[0], axis=1))

    def _repeats(self, n: int) -> np.ndarray:
        return np.arange(1, n, round(1 / REPEATED))


def joined(texts: pa.Array, n: int, between: str) -> pa.Array:
    """[n] texts joined from flat ones, equally many each."""
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * (len(texts) // n))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts), between)


def fixed_bytes(values: np.ndarray) -> pa.Array:
    """[n] byte strings from the rows of a matrix."""
    size = values.shape[1] * values.dtype.itemsize
    data = np.ascontiguousarray(values).tobytes()
    return pa.array([data[i * size : (i + 1) * size] for i in range(len(values))], pa.binary())
