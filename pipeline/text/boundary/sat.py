"""SaT sentence models through `wtpsplit-lite` (onnxruntime): optional, if the weights are available."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.extras import why
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions.track import Word

MODEL = "sat-3l-sm"
FILES = ("model_optimized.onnx", "config.json", "tokenizer.json")
"""The files of a folder of weights: model and configuration as published, and XLM-RoBERTa's tokenizer."""


class SatModel:
    """A SaT model, which sees only the words; a character's probability counts for the word that ends there.

    `folder`: the weights on disk (FILES); None: `sat-3l-sm` from its hub, which wtpsplit-lite caches.
    """

    threshold = 0.25

    def __init__(self, folder: Path | None = None) -> None:
        try:
            import wtpsplit_lite  # first: what brings onnxruntime is named where both are missing
            from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf
        except ImportError as error:
            raise UserError(f"text.sentences.model: sat cannot be loaded ({why(error)})") from None
        self.name = folder.name if folder is not None else MODEL
        missing = [name for name in FILES if folder is not None and not (folder / name).is_file()]
        if missing:
            raise UserError(f"{folder}: no SaT model there ({', '.join(missing)} missing)")
        try:
            self._sat: Any = (
                wtpsplit_lite.SaT(MODEL) if folder is None else wtpsplit_lite.SaT(folder, tokenizer_name_or_path=folder)
            )
        except (OSError, ValueError, RuntimeError, Fail, InvalidGraph, InvalidProtobuf) as error:
            where = (
                "its hub; put its files in a folder and name that in text.sentences.weights"
                if folder is None
                else folder
            )
            raise UserError(f"the weights of {self.name} cannot be loaded from {where} ({error})") from None

    def probabilities(self, words: Sequence[Word], turns: NDArray[np.bool_]) -> Marks:
        """See BoundaryModel."""
        if not words:
            return Marks.of_ends(np.zeros(0, np.float32))
        texts = [word.text for word in words]
        by_char = np.asarray(next(iter(self._sat.predict_proba([" ".join(texts)]))), np.float32)
        ends = np.cumsum([len(text) + 1 for text in texts]) - 2
        spaces = np.minimum(ends + 1, len(by_char) - 1)
        best: NDArray[np.float32] = np.maximum(by_char[ends], by_char[spaces])
        return Marks.of_ends(np.where(turns, 1.0, best).astype(np.float32))
