"""HD-VILA's language side: BERT's lower half over text, its upper half over text and video (stage 2), and the heads.

Shapes: B clips, S segments, L text tokens, P = h*w visual tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.bert import NORM_EPS, Dense, Embeddings, Encoder, Pooler, mean_over_tokens

if TYPE_CHECKING:
    from train.models.configs import ModelConfig

N_UNUSED_POSITIONS = 512
"""Rows of the visual position table, which published stage 2 files contain but the model never reads."""


class VisualEmbeddings(nn.Module):
    """Turns a feature map into a sequence of tokens, with embeddings of their row and column."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.position_embeddings = nn.Embedding(N_UNUSED_POSITIONS, width)
        self.row_position_embeddings = nn.Embedding(config.max_visual_rows, width)
        self.col_position_embeddings = nn.Embedding(config.max_visual_rows, width)
        self.token_type_embeddings = nn.Embedding(1, width)
        self.LayerNorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """[b, D, h, w] -> [b, h*w, D], row-major."""
        h, w = maps.shape[-2:]
        rows = self.row_position_embeddings.weight[:h, None]
        columns = self.col_position_embeddings.weight[None, :w]
        tokens = maps.permute(0, 2, 3, 1) + rows + columns + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(tokens.flatten(1, 2)))


class Bert(nn.Module):
    """Embeddings, layers and poolers; stage 2 adds the visual tokens and the upper half."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_text_layers = config.n_text_layers
        n_layers = config.n_text_layers + (config.n_multimodal_layers if config.stage == 2 else 0)
        self.embeddings = Embeddings(config.vocab_size, config.max_text_positions, config.width, config.dropout)
        self.encoder = Encoder(
            n_layers, config.width, config.n_heads, config.dropout, checkpointed=config.gradient_checkpointing
        )
        self.pooler1 = Pooler(config.width)
        if config.stage == 2:
            self.visual_embeddings = VisualEmbeddings(config)
            self.pooler2 = Pooler(config.width)

    def read_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L] ids and mask -> [B, L, D] after the text layers."""
        return self.encoder(self.embeddings(input_ids), attention_mask, slice(0, self.n_text_layers))

    def pool_text(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, L, D] -> [B, D]."""
        return self.pooler1(mean_over_tokens(hidden, attention_mask))

    def read_both(self, hidden: Tensor, attention_mask: Tensor, maps: Tensor) -> Tensor:
        """Text [B, L, D] and maps [B, S, D, h, w] -> [S, B, L+P, D] after the multimodal layers, text first."""
        B, S = maps.shape[:2]
        visual = self.visual_embeddings(maps.transpose(0, 1).flatten(0, 1))
        tokens = torch.cat([hidden.repeat(S, 1, 1), visual], dim=1)
        mask = torch.cat([attention_mask.repeat(S, 1), attention_mask.new_ones(visual.shape[:2])], dim=1)
        return self.encoder(tokens, mask, slice(self.n_text_layers, None)).unflatten(0, (S, B))


class PredictionTransform(Dense):
    """LayerNorm(GELU(dense(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.LayerNorm(F.gelu(self.dense(x)))


class Predictions(nn.Module):
    """The masked-language head. `bias` and `decoder.bias` are one parameter under two keys; the decoder isn't tied."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.transform = PredictionTransform(width)
        self.decoder = nn.Linear(width, vocab_size)
        self.decoder.bias = self.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]."""
        return self.decoder(self.transform(hidden))


class Heads(nn.Module):
    """The two classifiers of stage 2: masked words and matching."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.predictions = Predictions(vocab_size, width)
        self.seq_relationship = nn.Linear(width, 2)


class Transformer(nn.Module):
    """BERT with the projections to the common space and, in stage 2, the heads: `transformer.` in checkpoints.

    A model that answers has a classifier in their place, as published.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.bert = Bert(config)
        if config.n_answers:
            self.dropout = nn.Dropout(config.dropout)
            self.classifier = nn.Sequential(
                nn.Linear(config.width, 2 * config.width), nn.ReLU(), nn.Linear(2 * config.width, config.n_answers)
            )
            return
        self.t_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        if config.stage == 2:
            self.cls = Heads(config.vocab_size, config.width)

    def embed_text(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Text hidden states [B, L, D] -> [B, D], L2 norm 1."""
        return F.normalize(self.t_proj(self.bert.pool_text(hidden, attention_mask)), dim=-1, eps=1e-12)

    def embed_maps(self, maps: Tensor) -> Tensor:
        """[B, S, D, h, w] -> [B, D]: the mean over segments and cells, projected, L2 norm 1."""
        return F.normalize(self.v_proj(maps.mean(dim=(1, 3, 4))), dim=-1, eps=1e-12)


def over_segments(x: Tensor) -> Tensor:
    """[S, ...] -> [...]: logsumexp of hidden states over segments, as published (one segment: unchanged)."""
    return x.logsumexp(0)
