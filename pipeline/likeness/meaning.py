"""Clips by meaning, from a model's embeddings: near duplicates of other videos, and concepts, the clusters of a set.

k-means on the unit sphere, from a seed (Lloyd's steps, centres learned from a sample of the clips). Sums are rounded by
the processor's kind, so that a clip between two concepts may be in the other on another machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Vectors = NDArray[np.float32]
Int64 = NDArray[np.int64]

STEPS, A_CENTRE = 12, 64
"""Lloyd's steps, and how many clips each centre learns from at most."""
AT_ONCE = 4096
COMPARED_AT_ONCE = 1000
"""Near duplicates are looked for within clusters of about so many clips."""
N_WORDS, LETTERS = 6, 3


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """[n, D] with length 1."""
    values = vectors.astype(np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6), np.float32)


def concepts_of(vectors: Vectors, k: int, seed: int) -> Int64:
    """[n] the concept of each clip, 0 to k − 1, given unit vectors [n, D]. The same on one kind of processor."""
    dice = np.random.default_rng(seed)
    drawn = dice.permutation(len(vectors))[: A_CENTRE * k]
    with threadpool_limits(1):
        sample = vectors[np.sort(drawn)]
        centres = vectors[drawn[:k]]
        for _ in range(STEPS):
            label = _nearest(sample, centres)
            sums = np.zeros_like(centres)
            np.add.at(sums, label, sample)
            is_empty = np.bincount(label, minlength=len(centres)) == 0
            centres = np.where(is_empty[:, None], centres, unit(sums))
        return _nearest(vectors, centres)


def _nearest(vectors: Vectors, centres: Vectors) -> Int64:
    parts = [(vectors[at : at + AT_ONCE] @ centres.T).argmax(1) for at in range(0, len(vectors), AT_ONCE)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def alike(vectors: Vectors, videos: Sequence[str], at_least: float, seed: int) -> dict[int, tuple[int, float]]:
    """{row: (the earlier row that it is like, their cosine)} of clips that are as near as that to one of another video.

    Rows are in the order in which clips are preferred. Only clips of one cluster are compared.
    """
    label = concepts_of(vectors, max(1, len(vectors) // COMPARED_AT_ONCE), seed)
    video = np.unique(np.array(videos, object), return_inverse=True)[1]
    found: dict[int, tuple[int, float]] = {}
    with threadpool_limits(1):
        for cluster in range(int(label.max(initial=-1)) + 1):
            rows = np.flatnonzero(label == cluster)
            is_kept = np.ones(len(rows), np.bool_)
            for first in range(0, len(rows), COMPARED_AT_ONCE):
                block = rows[first : first + COMPARED_AT_ONCE]
                cosine = vectors[block] @ vectors[rows[: first + len(block)]].T
                near = (cosine >= at_least) & (video[block][:, None] != video[rows[: first + len(block)]])
                for i in np.flatnonzero(np.tril(near, first - 1).any(1)).tolist():
                    earlier = np.flatnonzero(near[i, : first + i] & is_kept[: first + i])
                    if len(earlier):
                        is_kept[first + i] = False
                        found[int(block[i])] = int(rows[earlier[0]]), float(cosine[i, earlier[0]])
    return found


def beyond(label: Int64, cap: int) -> Int64:
    """The rows that exceed their concept's cap, later ones first to go."""
    order = np.argsort(label, kind="stable")
    first = np.flatnonzero(np.diff(label[order], prepend=-1))
    place = np.arange(len(label)) - np.repeat(first, np.diff(np.append(first, len(label))))
    return np.sort(order[place >= cap])


def words_of(texts: Sequence[str], label: Int64) -> dict[int, list[str]]:
    """{concept: the words that are commonest in it, beyond what they are in all}."""
    of_all: Counter[str] = Counter()
    of_each: dict[int, Counter[str]] = {}
    for text, concept in zip(texts, label.tolist(), strict=True):
        words = {word for word in text.casefold().split() if len(word) >= LETTERS}
        of_all.update(words)
        of_each.setdefault(concept, Counter()).update(words)
    sizes = Counter(label.tolist())
    shown = {}
    for concept, counts in of_each.items():
        excess = {w: n * log(n * len(texts) / (sizes[concept] * of_all[w])) for w, n in counts.items()}
        shown[concept] = sorted(counts, key=lambda w: (-excess[w], w))[:N_WORDS]
    return shown
