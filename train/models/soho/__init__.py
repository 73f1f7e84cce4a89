"""SOHO: `build_soho(SohoConfig(preset="tiny"), seed=0)(batch)`; see model.py for how its parts fit together."""

from train.models.soho.batch import ImageBatch, MvmDraw, SohoOutput
from train.models.soho.configs import SohoConfig
from train.models.soho.kind import build_soho
from train.models.soho.model import Soho, SohoVqa, soho_losses

__all__ = [
    "ImageBatch",
    "MvmDraw",
    "Soho",
    "SohoConfig",
    "SohoOutput",
    "SohoVqa",
    "build_soho",
    "soho_losses",
]
