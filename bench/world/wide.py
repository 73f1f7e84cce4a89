"""The wide columns of a world: words, captions, sentences, signatures and picture hashes, as long as real ones.

Lengths are those of HD-VILA-100M's clips (32.5 words) and of the site's json3 tracks, about 45 bytes a word; a picture
a second is hashed, and neighbours show nearly the same. A second upload of a video has its words and pictures.
"""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.world.rows import numbers
from bench.world.videos import Videos, World, mixed
from manifests.hashing import UInt64, splitmix64
from manifests.schema import WORD
from pipeline.media.phash import N_HASHES, VERSION

WORDS_A_CLIP, WORDS_SPOKEN = 33, 43
"""Words of a clip, and of a transcript for each of its clips: some are in no clip."""
PICTURES_A_SCENE = 5
SIGNATURE_WORDS = 64
_VOCABULARY = 8_000


@cache
def _vocabulary() -> pa.Array:
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, (_VOCABULARY, 12), dtype=np.uint8)
    sizes = np.clip(rng.poisson(5, _VOCABULARY), 2, 12)
    return pa.array([bytes(row[:size]).decode() for row, size in zip(letters, sizes, strict=True)])


def _of_clips(found: Videos) -> UInt64:
    """[C] a hash of each clip, the same in a second upload."""
    return splitmix64(np.repeat(found.likeness, found.n_clips) + numbers(found.n_clips).astype(np.uint64))


def _spoken(found: Videos, n_words: int) -> pa.Array:
    """[C * n_words] the first words of each clip, common ones far more often than others."""
    drawn = mixed(np.add.outer(_of_clips(found), np.arange(n_words, dtype=np.uint64))).ravel()
    rank = ((drawn >> np.uint64(11)) * 2.0**-53) ** 3 * _VOCABULARY
    return _vocabulary().take(pa.array(rank.astype(np.int32)))


def _joined(texts: pa.Array, counts: NDArray[np.int64], between: str) -> pa.Array:
    ends = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), texts), between)


def sentences(world: World, found: Videos) -> pa.Array:
    """[C] the sentence of each clip."""
    texts = _spoken(found, WORDS_A_CLIP)
    return _joined(texts, np.full(int(found.n_clips.sum()), WORDS_A_CLIP), " ")


def payloads(world: World, found: Videos) -> pa.Array:
    """[N] caption tracks as they are downloaded."""
    texts = _spoken(found, WORDS_SPOKEN)
    at = pa.array(np.arange(len(texts)) * 400 % 10_000_000).cast(pa.string())
    pieces = pc.binary_join_element_wise('{"utf8":" ', texts, '","tOffsetMs":', at, "},", "")
    return _joined(pieces, found.n_clips * WORDS_SPOKEN, "").cast(pa.binary())


def words(world: World, found: Videos) -> dict[str, pa.Array]:
    """Columns `words` and `minhash` of transcripts."""
    texts = _spoken(found, WORDS_SPOKEN)
    start = numbers(found.n_clips * WORDS_SPOKEN) * 400
    fields = [texts, pa.array(start), pa.array(start + 350), pa.array(np.ones(len(texts), np.bool_))]
    ends = np.concatenate(([0], np.cumsum(found.n_clips * WORDS_SPOKEN))).astype(np.int32)
    listed = pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(fields, fields=list(WORD)))
    drawn = mixed(np.add.outer(found.likeness, np.arange(SIGNATURE_WORDS, dtype=np.uint64))).astype(np.uint32)
    return {"words": listed, "minhash": fixed_bytes(drawn)}


def pictures(world: World, found: Videos) -> pa.Array:
    """[C] `phashes`: scenes of a few seconds in which some bits flicker."""
    n_pictures = world.distribution.clip_ms // 1000
    scene = np.arange(n_pictures) // PICTURES_A_SCENE
    of_scene = (scene[:, None] * N_HASHES + np.arange(N_HASHES)).astype(np.uint64)
    shown = mixed(_of_clips(found)[:, None, None] + of_scene) & ~np.uint64(1)
    picture = np.arange(n_pictures * N_HASHES, dtype=np.uint64).reshape(n_pictures, N_HASHES)
    flicker = np.uint64(1) << (mixed(np.repeat(found.hashes, found.n_clips)[:, None, None] + picture) & np.uint64(63))
    bodies = np.asarray(shown ^ flicker).astype(">u8").reshape(len(shown), -1).view(np.uint8)
    return fixed_bytes(np.insert(bodies, 0, VERSION[0], axis=1))


def fixed_bytes(values: NDArray[Any]) -> pa.Array:
    """[N] byte strings from the rows of a matrix."""
    size, data = values.shape[1] * values.dtype.itemsize, np.ascontiguousarray(values).tobytes()
    return pa.array([data[i * size : (i + 1) * size] for i in range(len(values))], pa.binary())
