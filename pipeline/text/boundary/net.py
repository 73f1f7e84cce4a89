"""The shipped boundary model in numpy: a convolutional net over words and word pairs, and a small net that adds gaps.

Weights: `model.npz`, made by `bench/train_boundary.py`; their licence is in `MODEL_LICENCE.md`. Inference needs no
torch. Long tracks are processed in parts with as much context on both sides as the net sees, so the borders have no
effect.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from pipeline.text.boundary.evidence import COMMA, FUNCTION_WORDS, ODDS_SCALE, Marks, evidence
from pipeline.text.boundary.features import TURN, Vocabulary, pair_rows

FIRST_WIDTH = 5
"""Number of words in the window of the first convolution."""
DILATIONS = (1, 2, 4, 8)
"""Distances between the three words that each later convolution joins; a larger net repeats them."""
PART = 2048
"""Words processed at once: this bounds the memory, and keeps the data in the processor's cache."""

GAPS_MISLEAD, GAPS_TELL = 0.75, 0.8
"""How well a track's gaps must separate likely ends (last column of `evidence`) to be half and fully trusted."""

Floats = NDArray[np.float32]
Weights = dict[str, Floats]


class BoundaryNet:
    """The weights of one model file, and the probability that a sentence ends after each word."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        self._embedding = _table(arrays, "words.embedding")
        self._pairs = _table(arrays, "words.pairs")
        self._pair_keys = np.cumsum(arrays.pop("pairs").astype(np.int64))
        self.words = bytes(arrays.pop("vocabulary")).decode().split("\n")
        own = bytes(arrays.pop("function_words", b"")).decode().split()
        self.function_words = frozenset(own) or FUNCTION_WORDS
        self._weights: Weights = {name: array.astype(np.float32) for name, array in arrays.items()}

    @cached_property
    def dilations(self) -> list[int]:
        """The dilation of each block of the net over words."""
        n_blocks = sum(name.startswith("words.blocks.") and name.endswith(".bias") for name in self._weights)
        return [DILATIONS[k % len(DILATIONS)] for k in range(n_blocks)]

    @cached_property
    def reach(self) -> int:
        """Number of words on each side that affect a word's marks."""
        return FIRST_WIDTH // 2 + sum(self.dilations)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that the embedding table knows."""
        return Vocabulary.of(self.words)

    @cached_property
    def _threads(self) -> ThreadpoolController:
        return ThreadpoolController()

    def probabilities(
        self, normalised: list[str], starts_ms: NDArray[np.int64], known: NDArray[np.bool_], turns: NDArray[np.bool_]
    ) -> Marks:
        """Returns the marks after each of n words; the other arguments [n] as in `features.numbers`.

        Whether there is a mark inside a sentence depends on the words alone.
        """
        if not normalised:
            return Marks.of_ends(np.zeros(0, np.float32))
        marks = self.marks(normalised, turns)
        shown = evidence(marks, normalised, starts_ms, known, turns, self.function_words)
        hidden = evidence(marks, normalised, starts_ms, np.zeros_like(known), turns, self.function_words)
        trust = trust_in_gaps(shown)
        with self._one_thread():
            odds = trust * _pauses(shown, self._weights) + (1 - trust) * _pauses(hidden, self._weights)
        ends = _sigmoid(odds)
        return Marks(ends, (1 - ends) * _sigmoid(marks[:, COMMA] - marks[:, 0]))

    def marks(self, normalised: list[str], turns: NDArray[np.bool_]) -> Floats:
        """[n, N_MARKS] log probabilities of the mark after each of n words, from the words and changes of speaker."""
        ids = np.fromiter((self.vocabulary.id(word) for word in normalised), np.int64, len(normalised))
        after = np.flatnonzero(turns[:-1]) + 1
        rows = np.insert(ids, after, TURN)
        positions = np.arange(len(ids)) + np.searchsorted(after, np.arange(len(ids)), side="right")
        pairs = pair_rows(rows, self._pair_keys)
        parts = []
        with self._one_thread():
            for at in range(0, len(rows), PART):
                low = max(at - self.reach, 0)
                part = slice(low, at + PART + self.reach)
                vectors = self._embedding[rows[part]] + self._pairs[pairs[part]]
                logits = _words(vectors, self._weights, self.dilations)
                parts.append(logits[at - low : at - low + PART])
        logits = np.concatenate(parts)[positions]
        logits -= logits.max(axis=1, keepdims=True)
        out: Floats = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return out

    def _one_thread(self) -> "ThreadpoolController._ThreadpoolLimiter":
        """Limits BLAS to one thread inside the block: on a busy machine more threads cost ten times their gain."""
        return self._threads.limit(limits=1, user_api="blas")


def _sigmoid(odds: Floats) -> Floats:
    """Log odds to probabilities, without overflow."""
    out: Floats = (0.5 * (np.tanh(0.5 * odds) + 1)).astype(np.float32)
    return out


def _table(arrays: dict[str, NDArray[Any]], name: str) -> Floats:
    """Takes a table of vectors, stored in 8 bits with a scale per row, out of `arrays`."""
    scale: Floats = arrays.pop(f"{name}.scale").astype(np.float32)
    return arrays.pop(f"{name}.int8").astype(np.float32) * scale


def trust_in_gaps(evident: Floats) -> float:
    """The weight, from 0.5 to 1, of the odds with gaps against those without: small if gaps separate ends poorly.

    On tracks of free speech the mean of two readings, one of which gaps cannot mislead, is better than either.
    """
    separation = float(evident[0, -1])
    return 0.5 + 0.5 * float(np.clip((separation - GAPS_MISLEAD) / (GAPS_TELL - GAPS_MISLEAD), 0, 1))


def _words(x: Floats, w: Weights, dilations: Sequence[int]) -> Floats:
    """x [n, embedding] -> logits [n, N_MARKS]."""
    y = np.maximum(_convolution(x, w["words.first.weight"], w["words.first.bias"], 1), 0)
    for k, dilation in enumerate(dilations):
        y = y + np.maximum(_convolution(y, w[f"words.blocks.{k}.weight"], w[f"words.blocks.{k}.bias"], dilation), 0)
    out: Floats = y @ w["words.out.weight"].T + w["words.out.bias"]
    return out


def _pauses(x: Floats, w: Weights) -> Floats:
    """x [n, N_EVIDENCE] -> log odds of a sentence end [n]."""
    y = np.maximum(_convolution(x, w["pauses.first.weight"], w["pauses.first.bias"], 1), 0)
    y = np.maximum(_convolution(y, w["pauses.second.weight"], w["pauses.second.bias"], 1), 0)
    out: Floats = ODDS_SCALE * x[:, 0] + y @ w["pauses.out.weight"][0] + w["pauses.out.bias"]
    return out


def _convolution(x: Floats, kernel: Floats, bias: Floats, dilation: int) -> Floats:
    """x [n, in], kernel [out, in, k] -> [n, out]; words beyond the edges are zeros."""
    n, width = len(x), kernel.shape[2]
    edge = dilation * (width // 2)
    padded = np.pad(x, ((edge, edge), (0, 0)))
    y: Floats = np.broadcast_to(bias, (n, len(bias))).astype(np.float32)
    for k in range(width):
        y += padded[k * dilation : k * dilation + n] @ np.ascontiguousarray(kernel[:, :, k].T)
    return y
