"""Exports a vit as a folder, and its towers as a folder that transformers loads.

The folder is that of export_folder.py. What attention in time learned has no place in others' models; the towers on
their own embed pictures.
"""

import json
from pathlib import Path

from safetensors.torch import save_file

from manifests.settings import parse_config
from train.evaluation.encoder import Encoder
from train.exports.export_folder import CARD, CONFIG, WEIGHTS, Origin, config_document, read_config, whole_folder
from train.exports.onnx_files import write_onnx
from train.feed.tokenizer import FILE, Tokenizer, load_tokenizer
from train.models.vit.configs import VitConfig
from train.models.vit.folders import write_towers
from train.models.vit.model import Vit
from train.models.vit.shapes import TowersShape
from train.models.weight_files import load_file


def export_vit(model: Vit, tokenizer: Tokenizer | None, out: Path, origin: Origin, *, onnx: bool = False) -> None:
    """Writes the folder. UserError if `out` exists already."""
    config = model.config.without_sources().model_copy(update={"image_tune": "full", "text_tune": "full"})
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    with whole_folder(out) as folder:
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        frames = {"frame_stride": origin.stride, "fps": origin.fps, "view": origin.view}
        document = config_document("vit", "Vit", origin, {**frames, "model": config.model_dump(mode="json")})
        (folder / CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(_card(model, origin), encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
        if onnx:
            write_onnx(Encoder(model, tokenizer, stride=origin.stride, view=origin.view, fps=origin.fps), folder)


def write_vit(folder: Path, out: Path) -> int:
    """Writes the towers of an exported folder for transformers, with the tokenizer; returns how many entries.

    Of a DINOv2 it is the image tower alone: there is no model of it with words. UserError for other towers that
    transformers has no model for.
    """
    config = parse_config(VitConfig, read_config(folder)["model"], source=str(folder / CONFIG))
    alone = config.image.family == "dinov2"
    shape = TowersShape(image=config.image) if alone else config.towers
    towers = {key: tensor for key, tensor in load_file(folder / WEIGHTS).items() if not key.startswith("time.")}
    with whole_folder(out) as part:
        n_entries = write_towers(shape, towers, part)
        if (folder / FILE).is_file() and not alone:
            load_tokenizer(folder).save(part)
    return n_entries


def _card(model: Vit, origin: Origin) -> str:
    config = model.config
    facts = {
        "image tower": f"{config.image.family}, {config.image.layers} blocks of {config.image.width}",
        "text tower": f"{config.text.family}, {config.text.layers} blocks of {config.text.width}",
        "embedding": f"{config.width} numbers, L2 norm 1",
        "video input": f"{config.n_segments} x (1 frame of {config.high[1]}x{config.high[0]} and {config.n_frames - 1} "
        f"of {config.low[1]}x{config.low[0]}), {origin.stride} frames apart",
        "from": origin.source,
        "optimiser steps": f"{origin.step}",
    }
    sources = {f"initial weights of {part}": source for part, source in model.weight_sources.items()}
    return "\n".join([HEAD, *(f"| {name} | {value} |" for name, value in {**facts, **sources}.items()), FOOT])


HEAD = """---
library_name: hdvila
pipeline_tag: feature-extraction
license: other
tags: [video-text-retrieval, contrastive]
---

# Video and text in one space

Two towers with attention in time over the frames of a clip.

| | |
|---|---|"""
FOOT = """
## Use

```python
import train

model = train.load("PATH_OF_THIS_FOLDER")
print(model.embed_text(["a red car drives off"]) @ model.embed_video("clip.mp4"))
```

AutoModel of transformers does not load this folder, since it has no such model. `hdvila-train convert THIS_FOLDER OUT`
writes the towers as a folder that it loads; they embed pictures and texts, without attention in time.

## Licence

The licence of the weights that training began with, if they were not random, goes with these. The clips belong
to their makers: see the data set's card for their licences.
"""
