"""SOHO ("Seeing Out of tHe bOx", CVPR 2021): one Transformer over picture and sentence, with a learned dictionary.

State-dict keys are those of the published weights: 196 in pre-training, 185 in question answering (see official.py).
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from manifests.errors import UserError
from train.losses import IGNORED, itm_loss, labels_of_matches, mlm_loss
from train.models.base import Model
from train.models.bert import Layer
from train.models.picture_text import Language
from train.models.soho.batch import ImageBatch, MvmDraw, SohoOutput, as_images, on_canvas
from train.models.soho.configs import SohoConfig
from train.models.soho.neck import Neck, PlainNeck, draw_from, valid_cells
from train.models.soho.trunk import Block, Trunk
from train.rows import Rows

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""ImageNet's mean and deviation of R, G, B, for pixels of 0..255."""

N_ANSWERS = 3129
"""Number of answers of VQA 2.0 that are frequent enough to be classes."""

ANSWER_DROPOUT = 0.5

MVM_SHARE, COMPAT_MVM_SHARE = 0.15, 0.015
"""Share of rows that are masked if a batch has no draws: the paper's, and the published code's."""


class Pixels(nn.Module):
    """Mean and deviation for normalising pixels; not in the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN), persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD), persistent=False)


class MatchHead(nn.Module):
    """Predicts whether sentence and picture belong together, from [CLS]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.match_class = nn.Linear(width, 2, bias=False)

    def forward(self, cls: Tensor) -> Tensor:
        """[R, D] -> [R, 2]."""
        return self.match_class(cls)


class _OnTrunk(Model):
    """What both models share about their trunk: frozen stages."""

    blocks = (Block, Layer)
    backbone: Trunk

    def mark_trainable(self, objectives: Collection[str], view: str, outputs: Collection[str]) -> None:
        """Makes everything trainable but the frozen stages."""
        self.requires_grad_(True)
        for module in self.backbone.frozen_modules():
            module.requires_grad_(False)


class Soho(_OnTrunk):
    """The pre-training model."""

    methods = ("visual_input", "match")
    can_match = True

    def __init__(self, config: SohoConfig) -> None:
        super().__init__()
        self.config = config
        self.pixels = Pixels()
        self.backbone = Trunk(config)
        self.neck = Neck(config)
        self.language = Language(config)
        self.head = MatchHead(config.width)
        self.mask_l_fc = nn.Linear(config.width, config.vocab_size, bias=False)
        self.mask_l_fc.weight = self.language.bert.embeddings.word_embeddings.weight
        self.weight_sources: dict[str, str] = {}
        """The source of each part's initial weights, set by `build_soho`."""
        self._n_passes = 0

    def forward(
        self, batch: ImageBatch | Rows, only: Collection[str] = (), *, mvm_draw: MvmDraw | None = None
    ) -> SohoOutput:
        """Computes tokens, hidden states, and logits for the positions to predict.

        Without `mvm_draw`, training uses `batch.draws` (or torch's generator if there are none), and evaluation masks
        nothing unless the batch has draws.
        """
        self._refuse_second_pass()
        batch = as_images(batch)
        canvas = on_canvas(batch, self.pixels.mean, self.pixels.std)
        maps = self.backbone(canvas.pixels)
        n_rows, s = len(batch.text[0]), batch.n_sentences
        if mvm_draw is None and (self.training or batch.draws is not None):
            side = 32 * self.config.pool
            grid = (canvas.pixels.shape[-2] // side, canvas.pixels.shape[-1] // side)
            cells = valid_cells(canvas, grid, square=self.config.compat).flatten(1).repeat_interleave(s, 0)
            mvm_draw = self._draw(batch, cells, n_rows)
        visual = self.neck(maps, canvas, s, mvm_draw)
        labels = self._asked(visual.labels, batch)
        hidden = self.language(batch.text, visual.tokens, visual.mask)
        n_text = batch.text[0].shape[1]
        return SohoOutput(
            visual.tokens,
            visual.mask,
            visual.indices,
            labels,
            hidden,
            None if batch.mlm_labels is None else self.mask_l_fc(hidden[:, :n_text][batch.mlm_labels != IGNORED]),
            self.mvm_logits(hidden[:, n_text:][labels != IGNORED]),
            self.head(hidden[:, 0]),
        )

    def visual_input(self, batch: ImageBatch | Rows) -> tuple[Tensor, Tensor]:
        """(visual tokens [R, P, D], their mask [R, P]), with no cell masked."""
        batch = as_images(batch)
        canvas = on_canvas(batch, self.pixels.mean, self.pixels.std)
        visual = self.neck(self.backbone(canvas.pixels), canvas, batch.n_sentences, None)
        return visual.tokens, visual.mask

    def match(self, tokens: Tensor, mask: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Matching logits [R, 2] of the result of `visual_input` with sentences [R, L]."""
        return self.head(self.language((input_ids, attention_mask), tokens, mask)[:, 0])

    def mvm_logits(self, hidden: Tensor) -> Tensor:
        """Scaled cosines with all entries of the dictionary: [M, D] -> [M, K]."""
        with torch.autocast(hidden.device.type, enabled=False):
            entries = self.neck.vq.embed
            cosines = F.normalize(hidden.to(entries.dtype), dim=-1) @ F.normalize(entries, dim=-1).T
            return self.config.mvm_scale * cosines

    def after_step(self) -> None:
        """Updates the dictionary with the step's cells; all ranks call it, after the optimiser's step."""
        if not self.config.compat:
            self.neck.vq.commit()
        self._n_passes = 0

    def readings(self) -> dict[str, Tensor | float]:
        """Values about the dictionary: entries in use, perplexity, entries re-seeded."""
        return dict(self.neck.vq.usage())

    def mark_trainable(self, objectives: Collection[str], view: str, outputs: Collection[str]) -> None:
        """Makes everything trainable but the frozen stages, and the matching head without `itm`."""
        super().mark_trainable(objectives, view, outputs)
        self.head.requires_grad_("itm" in objectives)

    def title(self) -> str:
        """The preset, and whether it is `compat`."""
        return f"SOHO ({self.config.preset}{', compat' if self.config.compat else ''})"

    def _draw(self, batch: ImageBatch, cells: Tensor, n_rows: int) -> MvmDraw:
        if batch.draws is None:
            draws = torch.rand(n_rows, 2, device=cells.device)
            draws[:, 1] = draws[:, 1] < (COMPAT_MVM_SHARE if self.config.compat else MVM_SHARE)
        else:
            draws = batch.draws.to(cells.device)
        if self.config.compat:  # one cell of the whole grid for the batch, even if it is padding
            cell = int(draws[0, 0] * cells.shape[1])
            return MvmDraw(min(cell, cells.shape[1] - 1), draws[:, 1] > 0)
        return draw_from(draws, cells)

    def _asked(self, labels: Tensor, batch: ImageBatch) -> Tensor:
        """MVM labels without the rows whose sentence doesn't match the picture; `compat` keeps them."""
        if self.config.compat or batch.itm_labels is None:
            return labels
        return labels_of_matches(labels, batch.itm_labels)

    def _refuse_second_pass(self) -> None:
        if not (self.config.compat and self.training):
            return
        self._n_passes += 1
        if self._n_passes > 1:
            raise UserError(
                "compat updates the dictionary in the forward pass, so a step has one: micro-batches and cached "
                "gradients would update it again; set loop.micro_batch to the whole batch of a rank, or compat: false"
            )


class AnswerHead(nn.Module):
    """Scores of answers from [CLS] (for two pictures, both [CLS] concatenated): keys `vqa.0.*` and `vqa.3.*`."""

    def __init__(self, width: int, n_answers: int) -> None:
        super().__init__()
        inner = 4 * width
        self.vqa = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Dropout(ANSWER_DROPOUT), nn.Linear(inner, n_answers)
        )

    def forward(self, cls: Tensor) -> Tensor:
        """[R, D] -> [R, n_answers]."""
        return self.vqa(cls)


class Answered(NamedTuple):
    """The output of an answering model. A named tuple, so that DDP and FSDP2 find the tensor inside."""

    answer_logits: Tensor  # [R, n_answers]


class SohoVqa(_OnTrunk):
    """The question-answering model."""

    def __init__(self, config: SohoConfig, n_answers: int = 0) -> None:
        super().__init__()
        n_answers = n_answers or config.n_answers or N_ANSWERS
        self.config = config
        self.pixels = Pixels()
        self.backbone = Trunk(config)
        self.neck = PlainNeck(config)
        self.language = Language(config)
        self.head = AnswerHead(config.width, n_answers)
        self.weight_sources: dict[str, str] = {}
        """The source of each part's initial weights, set by `build_soho_vqa`."""

    def forward(self, batch: ImageBatch | Rows, only: Collection[str] = ()) -> Answered:
        """Logits of the answers, from [CLS]."""
        return Answered(self.head(self.encode(as_images(batch))[2][:, 0]))

    def encode(self, batch: ImageBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(visual tokens [R, P, D], their mask [R, P], hidden states [R, L+P, D])."""
        canvas = on_canvas(batch, self.pixels.mean, self.pixels.std)
        tokens, mask = self.neck(self.backbone(canvas.pixels), canvas, batch.n_sentences)
        return tokens, mask, self.language(batch.text, tokens, mask)

    def title(self) -> str:
        """The preset and the number of answers."""
        return f"SOHO ({self.config.preset}, {self.config.n_answers or N_ANSWERS} answers)"


def soho_losses(output: SohoOutput, batch: ImageBatch, *, on_negatives: bool = True) -> dict[str, Tensor]:
    """The losses mlm, mvm, itm and their sum `total`, each []; a loss with nothing to predict is 0.

    With `on_negatives`, words of sentences that don't belong to their picture count too, as in the published code (the
    model itself drops cells, depending on its configuration).
    """
    zero = output.itm_logits.new_zeros(())
    mlm = itm = zero
    if batch.mlm_labels is not None and output.mlm_logits is not None:
        labels, logits = batch.mlm_labels, output.mlm_logits
        if not on_negatives and batch.itm_labels is not None:
            kept = labels_of_matches(labels, batch.itm_labels)
            labels, logits = kept, logits[(kept != IGNORED)[labels != IGNORED]]
        mlm = mlm_loss(logits, labels)
    mvm = mlm_loss(output.mvm_logits, output.mvm_labels)
    if batch.itm_labels is not None:
        itm = itm_loss(output.itm_logits, batch.itm_labels)
    return {"mlm": mlm, "mvm": mvm, "itm": itm, "total": mlm + mvm + itm}
