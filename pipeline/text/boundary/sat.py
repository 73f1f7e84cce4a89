"""SaT sentence models through `wtpsplit-lite` (onnxruntime): an option where its weights are at hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.text.captions.track import Word

MODEL = "sat-3l-sm"


class SatModel:
    """`sat-3l-sm` over the words alone; a character's probability counts for the word that ends there."""

    threshold = 0.25

    def __init__(self, model: str = MODEL) -> None:
        try:
            from wtpsplit_lite import SaT
        except ImportError:
            raise UserError("text.boundary_model is sat, but wtpsplit-lite is missing: install hdvila[sat]") from None
        try:
            self._sat: Any = SaT(model)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"the weights of {model} cannot be had ({error}); use text.boundary_model: net") from None
        self.name = model

    def probabilities(self, words: Sequence[Word], turns: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See BoundaryModel."""
        if not words:
            return np.zeros(0, np.float32)
        texts = [word.text for word in words]
        by_char = np.asarray(next(iter(self._sat.predict_proba([" ".join(texts)]))), np.float32)
        ends = np.cumsum([len(text) + 1 for text in texts]) - 2
        spaces = np.minimum(ends + 1, len(by_char) - 1)
        best: NDArray[np.float32] = np.maximum(by_char[ends], by_char[spaces])
        return np.where(turns, 1.0, best).astype(np.float32)
