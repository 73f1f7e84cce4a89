"""The hashes behind every seeded choice: the same on every machine, in every version.

SplitMix64 is by Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014); the constants are
theirs.
"""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
_ROWS = 1 << 14
"""Texts hashed at a time, so that their padded bytes stay small."""


def splitmix64(state: UInt64) -> UInt64:
    """One step of SplitMix64, elementwise; uint64 wraps around. For scalars, numpy's overflow warning must be off."""
    x = state + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def hash_texts(texts: pa.Array, seed: int) -> UInt64:
    """[N] 64-bit hashes of strings (an Arrow array of type string), of the seed and the bytes alone.

    The bytes are read as little-endian words, each mixed in with SplitMix64.
    """
    out = np.empty(len(texts), dtype=np.uint64)
    start = splitmix64(np.array([seed], dtype=np.uint64))[0]
    for first in range(0, len(texts), _ROWS):
        words, lengths = _words(texts.slice(first, _ROWS))
        state = splitmix64(start ^ lengths.astype(np.uint64))
        for column in range(words.shape[1]):
            state = np.where(8 * column < lengths, splitmix64(state ^ words[:, column]), state)
        out[first : first + _ROWS] = state
    return out


def hash_name(seed: int, purpose: str, name: str) -> int:
    """A 64-bit number that depends only on its three arguments (blake2b, not Python's own salted hash)."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{purpose}|{name}".encode(), digest_size=8).digest(), "big")


def _words(texts: pa.Array) -> tuple[UInt64, NDArray[np.int64]]:
    """[n, w] little-endian words of strings padded with zeros, and their lengths in bytes [n]."""
    _, ends, data = texts.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    width = max(8, -(-int(lengths.max(initial=0)) // 8) * 8)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(1, dtype=np.uint8)
    column = np.arange(width)
    padded = raw[np.minimum(offsets[:-1, None] + column, len(raw) - 1)]
    padded[column >= lengths[:, None]] = 0
    return padded.view("<u8").astype(np.uint64), lengths
