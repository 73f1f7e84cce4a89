"""HD-VILA: `build_model(config, seed=...)`; see hd_vila.py for how its parts fit together."""

from train.models.batch import Batch, Features
from train.models.configs import ModelConfig
from train.models.hd_vila import HDVila
from train.models.init import build_model

__all__ = ["Batch", "Features", "HDVila", "ModelConfig", "build_model"]
