"""The shipped boundary model in numpy: embedding and numbers, a convolution, one bidirectional GRU, a logit a word.

Weights: `model.npz`, made by `bench/train_boundary.py`; its licence stands in `MODEL_LICENCE.md`. Inference needs no
torch. Long tracks are cut into windows with context on both sides and run as one batch.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text.boundary.features import N_NUMBERS, Vocabulary

WINDOW = 128
"""Words that a window decides."""
CONTEXT = 32
"""Words on each side that a window only reads."""
WINDOWS_AT_ONCE = 128
"""Windows in one batch: 16,384 words take about 120 MB."""

FIRST_END = 2
"""Marks from this one on end a sentence."""

Floats = NDArray[np.float32]


class BoundaryNet:
    """The weights of one model file, and the probability that a sentence ends after each word."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        table = arrays.pop("embedding.int8").astype(np.float32)
        self.embedding: Floats = table * arrays.pop("embedding.scale").astype(np.float32)
        self.words = bytes(arrays.pop("words")).decode().split("\n")
        self.weights: dict[str, Floats] = {name: array.astype(np.float32) for name, array in arrays.items()}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that the embedding table knows."""
        return Vocabulary.of(self.words)

    def probabilities(self, normalised: list[str], feats: Floats) -> Floats:
        """[n] probability of a sentence end after each of n words; feats [n, N_NUMBERS] from `features.numbers`."""
        n = len(normalised)
        if n == 0:
            return np.zeros(0, np.float32)
        ids = np.fromiter((self.vocabulary.id(word) for word in normalised), np.int64, n)
        n_windows = -(-n // WINDOW)
        padded = np.zeros(n_windows * WINDOW + 2 * CONTEXT, np.int64)
        padded[CONTEXT : CONTEXT + n] = ids
        numbers = np.zeros((len(padded), N_NUMBERS), np.float32)
        numbers[CONTEXT : CONTEXT + n] = feats
        places = np.arange(n_windows)[:, None] * WINDOW + np.arange(WINDOW + 2 * CONTEXT)
        ends = np.empty((n_windows, WINDOW), np.float32)
        for first in range(0, n_windows, WINDOWS_AT_ONCE):  # a long track's features would fill a gigabyte
            some = places[first : first + WINDOWS_AT_ONCE]
            logits = self._logits(padded[some], numbers[some])[:, CONTEXT : CONTEXT + WINDOW]
            odds = np.exp(logits - logits.max(axis=2, keepdims=True))
            ends[first : first + WINDOWS_AT_ONCE] = odds[..., FIRST_END:].sum(axis=2) / odds.sum(axis=2)
        return ends.reshape(-1)[:n]

    def _logits(self, ids: NDArray[np.int64], feats: Floats) -> Floats:
        """ids [w, l], feats [w, l, N_NUMBERS] -> logits [w, l, marks]: none, comma, full stop, question."""
        w = self.weights
        x = np.concatenate([self.embedding[ids], feats], axis=2)
        kernel = w["conv.weight"]  # [out, in, 3]
        padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        y = w["conv.bias"] + sum(padded[:, k : k + x.shape[1]] @ kernel[:, :, k].T for k in range(3))
        y = np.maximum(y, 0)
        ahead = _gru(y, w, "")
        back = _gru(y[:, ::-1], w, "_reverse")[:, ::-1]
        features = np.concatenate([ahead, back, feats], axis=2)
        out: Floats = features @ w["out.weight"].T + w["out.bias"]
        return out


def _gru(x: Floats, w: dict[str, Floats], side: str) -> Floats:
    """One direction of a GRU as torch defines it: x [w, l, in] -> states [w, l, hidden]."""
    from_input = x @ w[f"gru.weight_ih_l0{side}"].T + w[f"gru.bias_ih_l0{side}"]
    recurrent, bias = np.ascontiguousarray(w[f"gru.weight_hh_l0{side}"].T), w[f"gru.bias_hh_l0{side}"]
    hidden = recurrent.shape[0]
    state = np.zeros((x.shape[0], hidden), np.float32)
    states = np.empty((x.shape[0], x.shape[1], hidden), np.float32)
    for t in range(x.shape[1]):
        from_state = state @ recurrent + bias
        gates = _sigmoid(from_input[:, t, : 2 * hidden] + from_state[:, : 2 * hidden])
        reset, update = gates[:, :hidden], gates[:, hidden:]
        candidate = np.tanh(from_input[:, t, 2 * hidden :] + reset * from_state[:, 2 * hidden :])
        state = candidate + update * (state - candidate)
        states[:, t] = state
    return states


def _sigmoid(x: Floats) -> Floats:
    out: Floats = 0.5 * (np.tanh(0.5 * x) + 1)
    return out
