"""HD-VILA: `build_model(config, seed=...)`; see hd_vila.py for how its parts fit together.

Files: `registry` (the kinds), `base` (what the trainer asks of a model), `wrapping` (on a GPU, in DDP or
FSDP2), HD-VILA itself (resnet, timesformer, hybrid, bert, multimodal, towers, hd_vila), `sounding` (the same with a
tower that hears), `soho/` (trunk, neck, dictionary, model), `visual_parsing/` (parser, model), each with `configs` (its
section) and `kind` (its registration and first weights), which share `picture_text`, `initial_weights` and
`weight_files`; `vit/` (towers from folders, and the same on top of them); `published` for published checkpoints, by
each model's `official`.
"""

from train.models.configs import ModelConfig
from train.models.hd_vila import Batch, Features, HDVila
from train.models.hd_vila_kind import build_model

__all__ = ["Batch", "Features", "HDVila", "ModelConfig", "build_model"]
