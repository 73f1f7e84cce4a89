"""Visual Parsing ("Probing Inter-modality", NeurIPS 2021): a Transformer over both modalities on top of a purely
Transformer picture encoder, trained with masked words, matching, and masked regression of visual features.

From the paper: a Swin Transformer whose tokens go through Linear and LayerNorm and follow the words; visual masking by
the parser's own attention (a random token and those that it attends to most). Ours, since nothing was released: all
sizes, the position code, the mask's embedding, the regression head, the normalisation of targets. State-dict keys are
our own, with torchvision's under `parser.` and BERT's under `language.bert.`.
"""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.swin_transformer import SwinTransformerBlock

from train.losses import IGNORED
from train.models.base import Model
from train.models.bert import NORM_EPS, Layer
from train.models.multimodal import Predictions
from train.models.picture_text import Language
from train.models.soho.batch import STRIDE, ImageBatch, as_images, on_canvas
from train.models.soho.model import Answered, AnswerHead, Pixels
from train.models.soho.neck import position_code, valid_cells
from train.models.visual_parsing.configs import VisualParsingConfig
from train.models.visual_parsing.parser import Parser
from train.rows import Rows


class VisualParsingOutput(NamedTuple):
    """The output of a forward pass. R rows, P visual tokens, D width."""

    visual_tokens: Tensor  # [R, P, D]
    visual_mask: Tensor  # [R, P] bool
    attention: Tensor  # [R, P, P] of the parser's last block
    mfr_mask: Tensor  # [R, P] bool: tokens that were masked and are to be predicted
    mfr_error: Tensor  # [R] mean squared error of a row's masked tokens; 0 if there is none to predict
    hidden: Tensor  # [R, L+P, D] after the last layer, text first
    mlm_logits: Tensor | None  # [M, V] at the positions where mlm_labels != -100, row by row
    itm_logits: Tensor  # [R, 2], (no match, match)


class VisualEmbedding(nn.Module):
    """Turns the parser's tokens into the Transformer's: Linear, mask, type and position, LayerNorm."""

    def __init__(self, n_channels: int, config: VisualParsingConfig) -> None:
        super().__init__()
        width = config.width
        self.linear = nn.Linear(n_channels, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.token_type = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, projected: Tensor, cells: Tensor, hidden_cells: Tensor) -> Tensor:
        """Projected tokens [R, P, D], valid cells [R, gh, gw] and masked tokens [R, P] bool -> [R, P, D]."""
        tokens = torch.where(hidden_cells[..., None], self.mask_token.to(projected.dtype), projected) + self.token_type
        tokens = tokens + position_code(cells, tokens.shape[-1]).to(tokens.dtype)
        return self.dropout(self.norm(tokens))


class Heads(nn.Module):
    """The heads: masked words (tied to the word table), matching from [CLS], feature regression, answers."""

    def __init__(self, config: VisualParsingConfig, words: Tensor) -> None:
        super().__init__()
        assert isinstance(words, nn.Parameter)
        width = config.width
        self.mlm = Predictions(config.vocab_size, width)
        self.mlm.decoder.weight = words
        self.itm = nn.Linear(width, 2)
        self.mfr = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=NORM_EPS), nn.Linear(width, width)
        )
        self.answers = AnswerHead(width, config.n_answers) if config.n_answers else None


class VisualParsing(Model):
    """The pre-training model."""

    blocks = (SwinTransformerBlock, Layer)
    methods = ("visual_input", "match")
    can_match = True

    def __init__(self, config: VisualParsingConfig) -> None:
        super().__init__()
        self.config = config
        self.pixels = Pixels()
        self.parser = Parser(config)
        self.visual_embedding = VisualEmbedding(self.parser.n_channels, config)
        self.language = Language(config)
        self.heads = Heads(config, self.language.bert.embeddings.word_embeddings.weight)
        self.can_match = not config.n_answers
        self.weight_sources: dict[str, str] = {}
        """The source of each part's initial weights, set by `build_visual_parsing`."""
        self.target_variance = torch.zeros(())
        """Variance of the targets over tokens, averaged over channels, in the last pass that masked tokens."""

    def forward(self, batch: ImageBatch | Rows, only: Collection[str] = ()) -> VisualParsingOutput | Answered:
        """Calls `read`; with an answering head, returns the logits of the answers instead."""
        if self.heads.answers is None:
            return self.read(batch)
        batch = as_images(batch)
        return Answered(self.heads.answers(self.language(batch.text, *self.visual_input(batch))[:, 0]))

    def read(self, batch: ImageBatch | Rows) -> VisualParsingOutput:
        """Computes tokens, hidden states, logits and errors. Tokens are masked by the batch's draws; without any,
        training draws from torch's generator and evaluation masks nothing."""
        batch = as_images(batch)
        tokens, attention, cells = self._parse(batch)
        valid = cells.flatten(1)
        projected = self.visual_embedding.linear(tokens)
        masked = self._masked(batch, attention, valid)
        visual = self.visual_embedding(projected, cells, masked)
        hidden = self.language(batch.text, visual, valid)
        n_text = batch.text[0].shape[1]
        asked = masked if batch.itm_labels is None else masked & (batch.itm_labels == 1)[:, None]
        return VisualParsingOutput(
            visual,
            valid,
            attention,
            asked,
            self._errors(hidden[:, n_text:], projected, asked, valid),
            hidden,
            None if batch.mlm_labels is None else self.heads.mlm(hidden[:, :n_text][batch.mlm_labels != IGNORED]),
            self.heads.itm(hidden[:, 0]),
        )

    def visual_input(self, batch: ImageBatch | Rows) -> tuple[Tensor, Tensor]:
        """(visual tokens [R, P, D], their mask [R, P]), with no token masked."""
        tokens, _, cells = self._parse(as_images(batch))
        valid = cells.flatten(1)
        return self.visual_embedding(self.visual_embedding.linear(tokens), cells, torch.zeros_like(valid)), valid

    def match(self, tokens: Tensor, mask: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Matching logits [R, 2] of the result of `visual_input` with sentences [R, L]."""
        return self.heads.itm(self.language((input_ids, attention_mask), tokens, mask)[:, 0])

    def _parse(self, batch: ImageBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(the parser's tokens [R, P, C], its attention [R, P, P], valid cells [R, gh, gw])."""
        canvas = on_canvas(batch, self.pixels.mean, self.pixels.std)
        s = batch.n_sentences
        tokens, attention = self.parser(canvas.pixels)
        grid = (canvas.pixels.shape[-2] // STRIDE, canvas.pixels.shape[-1] // STRIDE)
        cells = valid_cells(canvas, grid, square=False)
        return tokens.repeat_interleave(s, 0), attention.repeat_interleave(s, 0), cells.repeat_interleave(s, 0)

    def readings(self) -> dict[str, Tensor | float]:
        """The variance of the regression targets over tokens: 0 would be a collapse."""
        return {"mfr_target_variance": self.target_variance}

    def is_decayed(self, name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
        """As in `Model`, and never for the parser's tables of relative positions."""
        return super().is_decayed(name, parameter, decay_norms=decay_norms) and "position_bias" not in name

    def mark_trainable(self, objectives: Collection[str], view: str, outputs: Collection[str]) -> None:
        """Makes everything trainable but the heads of objectives that are off."""
        self.requires_grad_(True)
        for name in ("itm", "mfr", "mlm"):
            if name not in objectives:
                self.heads.get_submodule(name).requires_grad_(False)
        if not {"mlm", "itm", "mfr"} & set(objectives):
            self.visual_embedding.mask_token.requires_grad_(False)  # nothing is masked
        self.language.bert.embeddings.word_embeddings.weight.requires_grad_(True)  # the word head shares it

    def title(self) -> str:
        """The preset and the parser."""
        return f"Visual Parsing ({self.config.preset}, {self.config.parser})"

    def _masked(self, batch: ImageBatch, attention: Tensor, valid: Tensor) -> Tensor:
        if batch.draws is None and not self.training:
            return torch.zeros_like(valid)
        draws = torch.rand(len(valid), device=valid.device) if batch.draws is None else batch.draws
        return related_tokens(attention, valid, draws.to(valid.device), self.config.mfr_share)

    def _errors(self, hidden: Tensor, projected: Tensor, asked: Tensor, valid: Tensor) -> Tensor:
        """[R] mean squared errors. Targets are normalised without learned gains, so that they can't become trivial."""
        with torch.autocast(hidden.device.type, enabled=False):
            wide = projected.detach().to(self.visual_embedding.mask_token.dtype)
            targets = F.layer_norm(wide, wide.shape[-1:])
            if asked.any():
                self.target_variance = targets[valid].var(0, correction=0).mean()
            predicted = self.heads.mfr(hidden[asked].to(wide.dtype))
            errors = (predicted - targets[asked]).square().mean(-1)
            rows = asked.nonzero()[:, 0]
            sums = errors.new_zeros(len(asked)).index_add(0, rows, errors)
            return sums / asked.sum(1).clamp(min=1)


def related_tokens(attention: Tensor, valid: Tensor, draws: Tensor, share: float) -> Tensor:
    """[R, P] bool: in each row, a drawn valid token and those that it attends to most, round(share * n) in all.

    attention [R, P, P], valid [R, P], draws [R] in 0..1. At least one token besides the drawn token, if there is
    another; for equal weights, the lower index comes first.
    """
    n_valid = valid.sum(1)
    nth = (draws * n_valid).long().clamp(max=n_valid - 1).clamp(min=0)
    pivot = (((valid.cumsum(1) - 1) == nth[:, None]) & valid).float().argmax(1)
    rows = torch.arange(len(valid), device=valid.device)
    weights = attention[rows, pivot].masked_fill(~valid, -1.0)
    weights[rows, pivot] = 2.0  # larger than any attention weight, so that the drawn token comes first
    order = weights.argsort(dim=1, descending=True, stable=True)
    positions = torch.arange(valid.shape[1], device=valid.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, positions)
    n_masked = (share * n_valid.float()).round().long().clamp(min=2)
    return (rank < n_masked[:, None]) & valid
