"""Tracks of words for the sentence models."""

import numpy as np

from pipeline.text.boundary import MODEL_FILE
from pipeline.text.boundary.net import BoundaryNet
from pipeline.text.captions.track import Word


def words(n: int, seed: int = 0) -> list[Word]:
    """n stamped words of the model's own vocabulary with uneven gaps."""
    rng = np.random.default_rng(seed)
    known = BoundaryNet(MODEL_FILE).words
    starts = np.cumsum(rng.integers(80, 900, n))
    return [Word(known[int(rng.integers(len(known)))], int(s), int(s) + 80, True) for s in starts]
