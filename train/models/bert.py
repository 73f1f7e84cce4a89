"""BERT: embeddings and post-norm Transformer layers with Hugging Face's key names.

Shapes: b sequences, L tokens, D width. Used for text alone (layers 0..11) and for text with visual tokens (12..23).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.resnet import run_block

NORM_EPS = 1e-12
FEED_FORWARD_RATIO = 4


class Embeddings(nn.Module):
    """Word, position and (always type 0) segment embeddings, normalised."""

    def __init__(self, vocab_size: int, n_positions: int, width: int, dropout: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, width)
        self.position_embeddings = nn.Embedding(n_positions, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor) -> Tensor:
        """[b, L] int64 -> [b, L, D]."""
        n_tokens = input_ids.shape[1]
        if n_tokens > self.position_embeddings.num_embeddings:
            raise ValueError(f"{n_tokens} tokens exceed the {self.position_embeddings.num_embeddings} text positions")
        positions = self.position_embeddings.weight[:n_tokens] + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + positions))


class SelfAttention(nn.Module):
    """Multi-head attention with separate projections; masked keys are ignored."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [b, L, D], mask [b, 1, 1, L] bool (True: attend) -> [b, L, D]."""
        q, k, v = (self._heads(linear(x)) for linear in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return y.transpose(1, 2).reshape(x.shape)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class ResidualOutput(nn.Module):
    """LayerNorm(residual + dropout(dense(x))): the end of each half of a layer."""

    def __init__(self, n_in: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(n_in, width)
        self.LayerNorm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """[b, L, n_in] and [b, L, D] -> [b, L, D]."""
        return self.LayerNorm(residual + self.dropout(self.dense(x)))


class AttentionHalf(nn.Module):
    """Self-attention and its residual, under the keys `attention.self.*` and `attention.output.*`."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.self = SelfAttention(width, n_heads, dropout)
        self.output = ResidualOutput(width, width, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[b, L, D] -> [b, L, D]."""
        return self.output(self.self(x, mask), x)


class Dense(nn.Module):
    """A Linear under the key `dense`."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(n_in, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] -> [..., n_out]."""
        return self.dense(x)


class Layer(nn.Module):
    """One post-norm Transformer layer."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = AttentionHalf(width, n_heads, dropout)
        self.intermediate = Dense(width, FEED_FORWARD_RATIO * width)
        self.output = ResidualOutput(FEED_FORWARD_RATIO * width, width, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[b, L, D] -> [b, L, D]."""
        x = self.attention(x, mask)
        return self.output(F.gelu(self.intermediate(x)), x)


class Encoder(nn.Module):
    """The stack of layers, run in slices: first the text layers, later the multimodal ones."""

    def __init__(self, n_layers: int, width: int, n_heads: int, dropout: float, *, checkpointed: bool) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.layer = nn.ModuleList(Layer(width, n_heads, dropout) for _ in range(n_layers))

    def forward(self, x: Tensor, attention_mask: Tensor, layers: slice) -> Tensor:
        """Runs x [b, L, D], with attention_mask [b, L] (1: real), through `layers` -> [b, L, D]."""
        mask = attention_mask.bool()[:, None, None, :]
        for layer in self.layer[layers]:
            x = run_block(layer, x, mask, checkpointed=self.checkpointed)
        return x


class Pooler(Dense):
    """tanh(dense(x))."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[b, D] -> [b, D]."""
        return torch.tanh(self.dense(x))


def mean_over_tokens(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """[b, L, D] and [b, L] -> [b, D]: the mean over real tokens, including [CLS] and [SEP]; zeros if there are none."""
    weights = attention_mask.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
