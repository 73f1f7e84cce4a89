"""HD-VILA: video and text in one space (stage 1), and a Transformer over both (stage 2).

State-dict keys are those of the published checkpoints; a learned temperature adds `temperature.*` (see official.py).
"""

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from train.data.views import View
from train.models.batch import Batch, Features
from train.models.configs import ModelConfig
from train.models.hybrid import HybridEncoder
from train.models.multimodal import Transformer, over_segments

MAX_LOGIT_SCALE = 100.0
"""A learned temperature may not fall below 0.01 (CLIP's limit)."""

STAGE1_TOP = ("cnn", "cnn_low", "grid_encoder", "grid_encoder_low", "timesformer", "grid_encoder_combine")
UNUSED_KEYS = (
    "timesformer.norm.",
    "cnn_low.layer4.",
    "transformer.bert.visual_embeddings.position_embeddings.",
)
LOW_ALONE = ("cnn.", "grid_encoder.", "grid_encoder_combine.")
HIGH_ALONE = ("cnn_low.", "grid_encoder_low.", "timesformer.", "grid_encoder_combine.")
UNSEEN_KEYS: dict[View, tuple[str, ...]] = {
    "high": HIGH_ALONE,
    "image": HIGH_ALONE,
    "low": LOW_ALONE,
    "mean": LOW_ALONE,
}
"""What a view's pictures don't pass through."""
MATCHING_KEYS = ("transformer.bert.pooler2.", "transformer.cls.seq_relationship.")


class Temperature(nn.Module):
    """The similarity's scale and bias: parameters where they are learned, else buffers outside the state dict."""

    logit_scale: Tensor
    logit_bias: Tensor

    def __init__(self, temperature: float, bias: float, *, learned: bool) -> None:
        super().__init__()
        values = {"logit_scale": math.log(1 / temperature), "logit_bias": bias}
        for name, value in values.items():
            # One element, not zero dimensions: FSDP2 shards dimension 0.
            tensor = torch.tensor([value], dtype=torch.float32)
            if learned:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor, persistent=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        """(1 / temperature, bias), each [1]."""
        # Never the parameters themselves: DDP and FSDP2 hang their hooks on what a forward pass computes.
        return self.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE), self.logit_bias * 1.0


class HDVila(HybridEncoder):
    """The whole model: the video encoder's modules at top level, the language side under `transformer`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.config = config
        self.transformer = Transformer(config)
        self.temperature = Temperature(config.temperature, config.logit_bias, learned=config.learn_temperature)
        self.weight_sources: dict[str, str] = {}
        """Where each part's first weights came from, filled by `build_model`."""

    def forward(self, batch: Batch, *, embeddings_only: bool = False) -> Features:
        """Everything a training step needs. `embeddings_only` leaves out stage 2's logits."""
        with torch.no_grad() if self.config.freeze_stage1 else nullcontext():
            maps = self.encode_frames(batch.img_middle, batch.img_other)
            hidden = self.transformer.bert.read_text(batch.input_ids, batch.attention_mask)
            video = self.transformer.embed_maps(maps)
            text = self.transformer.embed_text(hidden, batch.attention_mask)
        scale, bias = self.temperature()
        if self.config.stage == 1 or embeddings_only:
            return Features(video, text, scale, bias)
        mlm_logits, itm_logits = self._predict(batch, hidden, maps)
        return Features(video, text, scale, bias, mlm_logits, itm_logits)

    def embed(
        self, img_middle: Tensor | None, img_other: Tensor | None, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(video, text), each [B, D] with L2 norm 1, of raw 0..255 pixels and token ids (shapes: `Batch`)."""
        return self.embed_video(img_middle, img_other), self.embed_text(input_ids, attention_mask)

    def embed_video(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        """[B, D], L2 norm 1. Either input may be None."""
        return self.transformer.embed_maps(self.encode_frames(img_middle, img_other))

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, D], L2 norm 1."""
        hidden = self.transformer.bert.read_text(input_ids, attention_mask)
        return self.transformer.embed_text(hidden, attention_mask)

    def _predict(self, batch: Batch, hidden: Tensor, maps: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """(mlm_logits, itm_logits) as far as the batch asks for them."""
        if batch.mlm_labels is None and batch.itm_labels is None:
            return None, None
        both = self.transformer.bert.read_both(hidden, batch.attention_mask, maps)
        mlm_logits = itm_logits = None
        if batch.mlm_labels is not None:
            text = over_segments(both[:, :, : hidden.shape[1]])
            # The vocabulary is wide: logits are made for the masked places alone.
            mlm_logits = self.transformer.cls.predictions(text[batch.mlm_labels != -100])
        if batch.itm_labels is not None:
            pooled = over_segments(self.transformer.bert.pooler2(both[:, :, 0]))
            itm_logits = self.transformer.cls.seq_relationship(pooled)
        return mlm_logits, itm_logits

    def train(self, mode: bool = True) -> "HDVila":
        """As usual, but a frozen stage 1 stays in evaluation mode: it has no dropout or stochastic depth."""
        super().train(mode)
        if self.config.freeze_stage1:
            for module in self.stage1_modules():
                module.eval()
        return self

    def stage1_modules(self) -> list[nn.Module]:
        """The modules that stage 1 trains."""
        bert = self.transformer.bert
        text = [bert.embeddings, *bert.encoder.layer[: bert.n_text_layers], bert.pooler1]
        projections = [self.transformer.t_proj, self.transformer.v_proj, self.temperature]
        return [*(self.get_submodule(name) for name in STAGE1_TOP), *text, *projections]


def mark_trainable(model: HDVila, view: View = "hybrid") -> None:
    """Take the gradient from parameters that nothing reads (kept for their keys, or no part of what `view` passes
    through) and from a frozen stage 1."""
    unused: tuple[str, ...] = UNUSED_KEYS if model.config.itm else UNUSED_KEYS + MATCHING_KEYS
    unused += UNSEEN_KEYS.get(view, ())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(unused))
    if model.config.freeze_stage1:
        for module in model.stage1_modules():
            module.requires_grad_(False)
