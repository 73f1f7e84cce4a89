"""Measures how well the hatching of clips can be read off training views, by linear probes.

Clips are decoded as a run decodes them: the high-resolution frame from its still, the low ones from the proxy, after
the pipeline's encoder. If no probe exceeds chance on a view, that view has nothing to teach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.learning.attributes import HATCHINGS, value_of
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.data.decode import decode_sample, make_view
from train.data.index import load_index
from train.data.read import Reader
from train.data.views import MEMBERS
from train.evaluation.scores import wilson_interval

FOLDS = 8
"""A linear probe guesses the clips of an eighth of the videos from the others, eight times, so all clips are judged."""
RIDGE = 0.1

Pictures = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Looks:
    """Brightness of clips as both views show them, the hatching of each, and the video of each."""

    high: Pictures  # [n, H, W]
    low: Pictures  # [n, frames, h, w]
    hatching: NDArray[np.int64]  # [n]
    video: NDArray[np.int64]  # [n]


def read_looks(manifest: Path, config: TrainConfig) -> Looks:
    """Reads every clip of both splits, with the centre crop."""
    high, low, captions, videos = [], [], [], []
    for split in ("train", "val"):
        index = load_index(read_manifest(str(manifest)), split)
        reader, views = Reader(index, None), make_view("hybrid", config)
        for sample in range(len(index)):
            clip = decode_sample(reader.read(sample, MEMBERS["prepared"]), "prepared", views, None)
            assert clip.img_middle is not None and clip.img_other is not None
            high.append(clip.img_middle[0].mean(0))
            low.append(clip.img_other[0].mean(1))
            captions.append(clip.text)
            videos.append(index.key(sample).rpartition("_")[0])
    kinds = [list(HATCHINGS).index(value_of(caption, "hatching")) for caption in captions]
    of_video = np.unique(videos, return_inverse=True)[1]
    return Looks(np.array(high, np.float32), np.array(low, np.float32), np.array(kinds), of_video)


def spectrum(pictures: Pictures) -> Pictures:
    """Log power of each wave in pictures `[n, h, w]`: it lets a linear probe ignore the phase."""
    centred = pictures - pictures.mean((1, 2), keepdims=True)
    return np.log(np.abs(np.fft.rfft2(centred)) ** 2 + 1).reshape(len(pictures), -1).astype(np.float32)


def linear_probe(features: Pictures, labels: NDArray[np.int64], videos: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class that a ridge regression trained on other videos gives to each row `[n, features]`.

    (Two clips of one video may show the same ground.)
    """
    guesses = np.full(len(features), -1)
    order = np.random.default_rng(0).permutation(videos.max() + 1)
    for fold in np.array_split(order, FOLDS):
        held_out = np.flatnonzero(np.isin(videos, fold))
        rest = np.setdiff1d(np.arange(len(features)), held_out)
        mean, deviation = features[rest].mean(0), features[rest].std(0) + 1e-3
        a, b = (features[rest] - mean) / deviation, (features[held_out] - mean) / deviation
        kernel = a @ a.T / a.shape[1]
        kinds = np.eye(labels.max() + 1, dtype=np.float32)
        targets = kinds[labels[rest]] - 1 / len(kinds)
        weights = np.linalg.solve(kernel + RIDGE * np.eye(len(a), dtype=np.float32), targets)
        guesses[held_out] = (b @ a.T / a.shape[1] @ weights).argmax(1)
    return guesses


def probe(manifest: Path, config: TrainConfig) -> tuple[dict[str, float], int]:
    """(shares of clips whose hatching is read correctly, by view and way of reading; number of clips)."""
    looks = read_looks(manifest, config)
    found: dict[str, float] = {}
    for view, frames in (("high", looks.high[:, None]), ("low", looks.low)):
        flat = frames.reshape(len(frames), -1)
        # The mean over frames of each wave's log power.
        spectra = np.mean([spectrum(frames[:, k]) for k in range(frames.shape[1])], axis=0)
        guesses = {
            "linear probe of pixels": linear_probe(flat, looks.hatching, looks.video),
            "linear probe of the spectrum": linear_probe(spectra, looks.hatching, looks.video),
        }
        found |= {f"{view}: {name}": float((guess == looks.hatching).mean()) for name, guess in guesses.items()}
    return found, len(looks.hatching)


def described(shares: Mapping[str, float], n_clips: int) -> str:
    """One line per view and way of reading, with the 95 % interval."""
    chance = 1 / len(HATCHINGS)
    lines = []
    for name, share in shares.items():
        low, high = wilson_interval(share, n_clips)
        reading = f"{share:.1%} of {n_clips} (95 %: {low:.1%} to {high:.1%}; chance {chance:.0%})"
        lines.append(f"hatching read off {name}: {reading}")
    return "\n".join(lines)
