"""Both towers as ONNX: `video.onnx` and `text.onnx`, for any number of clips or sentences at a time."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from train.evaluation.encoder import Encoder, blank_inputs
from train.exports.export_folder import CARD

WORDS = "text.tokenizer.json"
ONNX = """
## ONNX

Both towers for onnxruntime, for any n; outputs are `video_embeds` and `text_embeds`, float32 [n, D] of L2 norm 1.

| file | input | |
|---|---|---|
VIDEO_ROWS
| `text.onnx` | `input_ids` | int64 [n, LENGTH] |
| `text.onnx` | `attention_mask` | int64 [n, LENGTH], 0 where padded |

Pictures are RGB, not normalised, as [segments, channels, height, width] (`img_middle`) and with the frames around each
(`img_other`), as the table above says.

```python
import numpy as np, onnxruntime
from tokenizers import Tokenizer

words = Tokenizer.from_file("text.tokenizer.json").encode_batch(["a red car drives off"])   # cut and padded
ids, mask = (np.array([getattr(one, name) for one in words]) for name in ("ids", "attention_mask"))
tower = onnxruntime.InferenceSession("text.onnx")
(text,) = tower.run(["text_embeds"], {"input_ids": ids, "attention_mask": mask})
```

`hdvila-pipeline browse DATA_SET --model THIS_FOLDER` finds clips by a sentence.
"""
N_EXAMPLES = 2
"""Rows of the traced batch; the exporter takes 1 for a constant."""


class _Video(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        return self.model.embed_video(img_middle, img_other)  # type: ignore[operator]


class _Text(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.embed_text(input_ids, attention_mask)  # type: ignore[operator]


def write_onnx(encoder: Encoder, folder: Path) -> None:
    """Writes the towers as they embed in evaluation, in the precision of their weights.

    Inputs are `img_middle` and `img_other` (uint8; those that the view has), `input_ids` and `attention_mask`; outputs
    `video_embeds` and `text_embeds`. Shapes are fixed but for the batch. Weights of large towers lie beside the files.
    `text.tokenizer.json` makes a sentence the inputs of `text.onnx`. README.md says all this with its shapes.
    """
    blank = dict(zip(("img_middle", "img_other"), blank_inputs(encoder.views), strict=True))
    pictures = {name: None if value is None else torch.stack([value] * N_EXAMPLES) for name, value in blank.items()}
    ids = torch.zeros(N_EXAMPLES, encoder.model.config.text_length, dtype=torch.int64)
    words = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    _write(_Video(encoder.model), pictures, "video_embeds", folder / "video.onnx")
    _write(_Text(encoder.model), words, "text_embeds", folder / "text.onnx")
    if encoder.tokenizer is not None:
        encoder.tokenizer.save_fixed(folder / WORDS, encoder.model.config.text_length)
    shapes = {name: list(value.shape[1:]) for name, value in pictures.items() if value is not None}
    with (folder / CARD).open("a", encoding="utf-8") as card:
        card.write(_card(shapes, encoder.model.config.text_length))


def _card(shapes: Mapping[str, list[int]], length: int) -> str:
    rows = [f"| `video.onnx` | `{name}` | uint8 [n, {', '.join(map(str, shape))}] |" for name, shape in shapes.items()]
    return ONNX.replace("VIDEO_ROWS", "\n".join(rows)).replace("LENGTH", str(length))


def _write(tower: nn.Module, inputs: Mapping[str, Tensor | None], output: str, file: Path) -> None:
    batch = torch.export.Dim("batch")
    # The exporter tells of every operator that it leaves as it is.
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower.eval(),
            kwargs=dict(inputs),
            f=file,
            input_names=[name for name, value in inputs.items() if value is not None],
            output_names=[output],
            dynamic_shapes={name: None if value is None else {0: batch} for name, value in inputs.items()},
            dynamo=True,
            verbose=False,
        )
