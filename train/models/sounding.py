"""HD-VILA with a third tower, which hears: a clip's embedding is that of its pictures and, where it has any, its sound.

    sound [B, D]    convolutions over the clip's log-mel spectrogram (mel.npy), averaged over time
    video [B, D]    the pictures' embedding plus the sound's, of unit length; without sound, the pictures' alone

In training, a row's sound is left out at random (`sound_drop`), so that clips without any are found as well as by an
HD-VILA. Sentences are spoken in the sound: whoever trains this on speech has a model that hears words.
"""

from collections.abc import Collection
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from manifests.settings import identity, operational
from train.models.configs import ModelConfig
from train.models.hd_vila import Features, HDVila
from train.models.hd_vila_kind import build_model
from train.models.registry import ModelKind
from train.rows import Rows

MEAN, SPREAD = -8.0, 6.0
"""About those of ln(power) in films; silence is -23."""


class SoundingConfig(ModelConfig):
    """The configuration: HD-VILA's, and that of the tower that hears."""

    kind: Literal["hd_vila_sound"] = identity("hd_vila_sound", doc="the model")  # type: ignore[assignment]
    stage: Literal[1] = identity(  # type: ignore[misc]
        1, doc="1: the encoders; stage 2 would read text and pictures together, and no sound"
    )
    sound_bins: int = identity(80, ge=8, doc="bins of the spectrograms, as media.members.mel_bins made them")
    sound_columns: int = identity(128, ge=8, doc="columns that a clip's whole spectrogram is averaged to")
    sound_drop: float = identity(0.5, ge=0, lt=1, doc="probability that training embeds a clip without its sound")
    muted: bool = operational(False, doc="embed every clip as if it had no sound")


class SoundFeatures(NamedTuple):
    """The output of a forward pass: `Features` and what they are made of."""

    video: Tensor  # [B, D], L2 norm 1: pictures and sound
    text: Tensor  # [B, D], L2 norm 1
    logit_scale: Tensor  # [1], 1 / temperature
    logit_bias: Tensor  # [1], used only by the sigmoid loss
    pictures: Tensor  # [B, D], L2 norm 1
    sound: Tensor  # [B, D], L2 norm 1; of a row without sound, of no meaning


class SoundTower(nn.Module):
    """Spectrograms [B, bins, columns], ln of power -> [B, D], L2 norm 1."""

    def __init__(self, config: SoundingConfig) -> None:
        super().__init__()
        channels, bins = max(8, config.width // 4), config.sound_bins
        layers: list[nn.Module] = []
        for n_in in (1, channels, channels):
            layers += [nn.Conv2d(n_in, channels, 3, stride=2, padding=1), nn.GroupNorm(4, channels), nn.GELU()]
            bins = -(-bins // 2)
        self.layers = nn.Sequential(*layers)
        self.project = nn.Linear(channels * bins, config.width)

    def forward(self, mel: Tensor) -> Tensor:
        """See the class. The mean is over time alone: how high a sound is lies along the bins."""
        x = self.layers(((mel - MEAN) / SPREAD)[:, None]).mean(3)
        return F.normalize(self.project(x.flatten(1)), dim=1)


class Sounding(HDVila):
    """HD-VILA's modules, and `sound`."""

    towers_class = None
    config: SoundingConfig

    def __init__(self, config: SoundingConfig) -> None:
        super().__init__(config)
        self.sound = SoundTower(config)

    def forward(self, batch: Rows, only: Collection[str] = ()) -> SoundFeatures:  # type: ignore[override]
        """Reads `mel` [B, bins, columns] and `has_sound` [B] beside what HD-VILA reads."""
        seen = super().forward(batch, only)
        assert isinstance(seen, Features)
        heard = self.sound(batch.mel)
        weight = batch.has_sound * (0.0 if self.config.muted else 1.0)
        if self.training:
            weight = weight * (torch.rand(len(weight), device=weight.device) >= self.config.sound_drop)
        both = F.normalize(seen.video + weight[:, None] * heard, dim=1)
        return SoundFeatures(both, seen.text, seen.logit_scale, seen.logit_bias, seen.video, heard)


KIND = ModelKind(
    section=SoundingConfig,
    build=lambda config, seed: build_model(config, seed=seed, network=Sounding),
    view="hybrid",
    objectives=("contrastive", "sound"),
)
