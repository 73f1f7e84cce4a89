"""HD-VILA: embeds video and text in a common space (stage 1), with a Transformer over both (stage 2).

State-dict keys are those of the published checkpoints; a learned temperature adds `temperature.*` (see official.py).

Shapes: B clips, S segments, N frames per segment, L tokens, D width, V vocabulary, M masked tokens of the batch.
"""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from train.models.base import Model
from train.models.bert import Layer
from train.models.configs import ModelConfig
from train.models.multimodal import over_segments
from train.models.resnet import Bottleneck
from train.models.timesformer import Block
from train.models.towers import Towers
from train.rows import Rows

OPTIONAL = ("img_middle", "img_other", "mlm_labels", "itm_labels", "caption_ids")


class Batch(Rows):
    """B clips with their captions. Pixels are raw RGB 0..255, uint8 or float; the model normalises them.

    A picture that the view doesn't have is None, and so are labels that the run's objectives don't use.
    """

    def __init__(
        self,
        img_middle: Tensor | None,  # [B, S, 3, H, W]        the centre frame at high resolution
        img_other: Tensor | None,  # [B, S, N-1, 3, H/4, W/4] the other frames in time order, without the centre
        input_ids: Tensor,  # [B, L] int64
        attention_mask: Tensor,  # [B, L], 1 for a real token
        mlm_labels: Tensor | None = None,  # [B, L] int64, -100 where there is nothing to predict
        itm_labels: Tensor | None = None,  # [B] int64, 1 if text and video belong together
        caption_ids: Tensor | None = None,  # [B] int64, equal for equal captions, on every rank and at every step
    ) -> None:
        super().__init__(
            img_middle=img_middle,
            img_other=img_other,
            input_ids=input_ids,
            attention_mask=attention_mask,
            mlm_labels=mlm_labels,
            itm_labels=itm_labels,
            caption_ids=caption_ids,
        )

    def __getattr__(self, name: str) -> Any:
        return None if name in OPTIONAL and name not in self else super().__getattr__(name)


class Features(NamedTuple):
    """The output of a forward pass. A named tuple, so that DDP and FSDP2 find the tensors inside."""

    video: Tensor  # [B, D], L2 norm 1
    text: Tensor  # [B, D], L2 norm 1
    logit_scale: Tensor  # [1], 1 / temperature
    logit_bias: Tensor  # [1], used only by the sigmoid loss
    mlm_logits: Tensor | None = None  # [M, V], at the positions where mlm_labels != -100, row by row
    itm_logits: Tensor | None = None  # [B, 2], (no match, match)


STAGE1_TOP = ("cnn", "cnn_low", "grid_encoder", "grid_encoder_low", "timesformer", "grid_encoder_combine")
UNUSED_KEYS = ("timesformer.norm.", "cnn_low.layer4.", "transformer.bert.visual_embeddings.position_embeddings.")
LOW_ALONE = ("cnn.", "grid_encoder.", "grid_encoder_combine.")
HIGH_ALONE = ("cnn_low.", "grid_encoder_low.", "timesformer.", "grid_encoder_combine.")
UNSEEN_KEYS: dict[str, tuple[str, ...]] = {"high": HIGH_ALONE, "low": LOW_ALONE}
"""Key prefixes of modules that the pictures of a view don't pass through."""
MATCHING_KEYS = ("transformer.bert.pooler2.", "transformer.cls.seq_relationship.")
WORD_KEYS = ("transformer.cls.predictions.",)
OUTPUT_KEYS = {
    "video": ("transformer.v_proj.",),
    "text": ("transformer.bert.pooler1.", "transformer.t_proj."),
    "logit_scale": ("temperature.logit_scale",),
    "logit_bias": ("temperature.logit_bias",),
}
"""Key prefixes of what only this output passes through, so only losses that read it train it."""
ALL_OBJECTIVES = ("contrastive", "mlm", "itm")


class Answered(NamedTuple):
    """The output of a model that answers."""

    answer_logits: Tensor  # [B, n_answers]; of C texts to choose from [B, C]


class HDVila(Towers, Model):
    """The whole model: the video encoder's modules at the top level, the language side under `transformer`."""

    blocks = (Block, Layer, Bottleneck)
    towers_class: ClassVar[type[nn.Module] | None] = Towers
    methods = ("embed", "embed_video", "embed_text", "visual_input", "answer")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.config = config
        self.towers = None if config.n_answers else ("video", "text")
        self.weight_sources: dict[str, str] = {}
        """The source of each part's initial weights, set by `build_model`."""

    def forward(self, batch: Rows, only: Collection[str] = ()) -> Features | Answered:
        """Computes what a training step needs from a `Batch` (or rows with its names); no logits if `only` has none.

        A model that answers reads `input_ids` and `attention_mask` [B, L], or the C texts to choose from [B, C, L].

        With `pair_ids` and `pair_mask`, the multimodal half reads that text in rows with `itm_labels` 0; embeddings and
        masked positions are always those of the row's own text.
        """
        with self._stage1():
            maps = self.encode_frames(batch.get("img_middle"), batch.get("img_other"))
        if self.config.n_answers:
            return Answered(self._answer_all(maps, batch.input_ids, batch.attention_mask))
        with self._stage1():
            hidden = self.transformer.bert.read_text(batch.input_ids, batch.attention_mask)
            video = self.transformer.embed_maps(maps)
            text = self.transformer.embed_text(hidden, batch.attention_mask)
        scale, bias = self.temperature()
        if self.config.stage == 1 or (only and not {"mlm_logits", "itm_logits"} & set(only)):
            return Features(video, text, scale, bias)
        mlm_logits, itm_logits = self._predict(batch, hidden, maps)
        return Features(video, text, scale, bias, mlm_logits, itm_logits)

    def visual_input(self, batch: Rows) -> tuple[Tensor, Tensor]:
        """(maps [B, S, D, h, w], a mask of ones [B, 1]), the input of `match`; a clip has no padding."""
        maps = self.encode_frames(batch.get("img_middle"), batch.get("img_other"))
        return maps, maps.new_ones(len(maps), 1)

    def _answer_all(self, maps: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, n_answers] for one text a row; for C texts a row, [B, C, L], a score of each: [B, C]."""
        if input_ids.ndim == 2:
            return self.answer(maps, input_ids, attention_mask)
        each = maps.repeat_interleave(input_ids.shape[1], 0)
        logits = self.answer(each, input_ids.flatten(0, 1), attention_mask.flatten(0, 1))
        return logits[:, 0].unflatten(0, input_ids.shape[:2])

    def answer(self, maps: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, n_answers]: the answering head on the maps of `visual_input` with a text for each, ids [B, L].

        The mean over segments: unlike a logsumexp of what the head reads, it does not move with their number, so that
        a model can be tested on more segments than it was trained on (published: 1 and 8).
        """
        with self._stage1():
            hidden = self.transformer.bert.read_text(input_ids, attention_mask)
        both = self.transformer.bert.read_both(hidden, attention_mask, maps)
        pooled = self.transformer.dropout(self.transformer.bert.pooler2(both[:, :, 0]))
        return _in_full(self.transformer.classifier, pooled).mean(0)

    def _match_logits(self, both: Tensor) -> Tensor:
        """[S, B, L+P, D] after the multimodal layers -> [B, 2]."""
        pooled = over_segments(self.transformer.bert.pooler2(both[:, :, 0]))
        return _in_full(self.transformer.cls.seq_relationship, pooled)

    def _stage1(self) -> AbstractContextManager[object]:
        return torch.no_grad() if self.config.freeze_stage1 else nullcontext()

    def _predict(self, batch: Rows, hidden: Tensor, maps: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """(mlm_logits, itm_logits), each None if the batch has no labels for it."""
        words, matches = batch.get("mlm_labels"), batch.get("itm_labels")
        if words is None and matches is None:
            return None, None
        both = self.transformer.bert.read_both(*self._paired(batch, hidden), maps)
        mlm_logits = itm_logits = None
        if words is not None:
            text = over_segments(both[:, :, : hidden.shape[1]])
            # The vocabulary is large, so logits are computed only for the masked positions.
            mlm_logits = _in_full(self.transformer.cls.predictions, text[words != -100])
        if matches is not None:
            itm_logits = self._match_logits(both)
        return mlm_logits, itm_logits

    def _paired(self, batch: Rows, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """(text hidden states [B, L, D], mask [B, L]) to read together with each row's maps."""
        ids, mask = batch.get("pair_ids"), batch.get("pair_mask")
        if ids is None or mask is None:
            return hidden, batch.attention_mask
        with self._stage1():
            of_pair = self.transformer.bert.read_text(ids, mask)
        return torch.where(batch.itm_labels.bool()[:, None, None], hidden, of_pair), mask

    def is_decayed(self, name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
        """As in `Model`, and never for the temperature."""
        return not name.startswith("temperature") and super().is_decayed(name, parameter, decay_norms=decay_norms)

    def mark_trainable(
        self,
        objectives: Collection[str] = ALL_OBJECTIVES,
        view: str = "hybrid",
        outputs: Collection[str] = tuple(OUTPUT_KEYS),
    ) -> None:
        """Makes everything trainable except: modules that nothing reads (kept for their keys), modules that this view's
        pictures, these objectives or these outputs don't pass through, and a frozen stage 1."""
        still = {*UNUSED_KEYS, *UNSEEN_KEYS.get(view, ())}
        both_read = {"mlm", "itm", "answers"} & set(objectives)
        still.update(key for output, keys in OUTPUT_KEYS.items() if output not in outputs for key in keys)
        if "mlm" not in objectives:
            still.update(WORD_KEYS)
        if not self.config.n_answers and ("itm" not in objectives or not self.config.itm):
            still.update(MATCHING_KEYS)
        if not both_read:
            text, both = self._layer_keys()
            still.update(("transformer.bert.visual_embeddings.", *both))
            if outputs and "video" not in outputs:
                still.update(f"{name}." for name in STAGE1_TOP)
            if outputs and "text" not in outputs:
                still.update(("transformer.bert.embeddings.", *text))
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(still)))
        if self.config.freeze_stage1:
            for module in self.stage1_modules():
                module.requires_grad_(False)

    def _layer_keys(self) -> tuple[list[str], list[str]]:
        """Key prefixes of the Transformer's layers: those over text alone, and those over both."""
        bert = self.transformer.bert
        keys = [f"transformer.bert.encoder.layer.{n}." for n in range(len(bert.encoder.layer))]
        return keys[: bert.n_text_layers], keys[bert.n_text_layers :]

    def after_step(self) -> None:
        """Keeps a learned temperature within its bound."""
        if self.config.learn_temperature:
            self.temperature.bound()

    def readings(self) -> dict[str, Tensor | float]:
        """The current temperature."""
        return {"temperature": 1 / self.temperature()[0].detach()}

    def title(self) -> str:
        """Preset and stage."""
        return f"{self.config.preset} stage {self.config.stage}"

    def train(self, mode: bool = True) -> "HDVila":
        """As usual, but a frozen stage 1 stays in evaluation mode, without dropout or stochastic depth."""
        super().train(mode)
        if self.config.freeze_stage1:
            for module in self.stage1_modules():
                module.eval()
        return self

    def stage1_modules(self) -> list[nn.Module]:
        """The modules that stage 1 trains."""
        bert = self.transformer.bert
        text = [bert.embeddings, *bert.encoder.layer[: bert.n_text_layers], bert.pooler1]
        towers = () if self.config.n_answers else ("t_proj", "v_proj")
        projections = [*(self.transformer.get_submodule(name) for name in towers), self.temperature]
        return [*(self.get_submodule(name) for name in STAGE1_TOP), *text, *projections]


def _in_full(head: nn.Module, x: Tensor) -> Tensor:
    """Logits in the head's own dtype, whatever autocast uses: bf16 is too coarse for close scores of 30,000 words."""
    with torch.autocast(x.device.type, enabled=False):
        return head(x.to(next(head.parameters()).dtype))
