"""What SOHO and Visual Parsing share: one Transformer reads picture and sentence together."""

import torch
from torch import Tensor, nn

from manifests.settings import identity, operational
from train.models.base import ModelSection
from train.models.bert import Embeddings, Encoder

Size = tuple[int, int]


class PictureTextSection(ModelSection):
    """The keys of both. Sizes are (height, width) in pixels."""

    image_size: Size
    n_layers: int
    width: int = identity(768, ge=8, doc="size of every token")
    n_heads: int = identity(12, ge=1, doc="attention heads")
    dropout: float = identity(0.1, ge=0, lt=1, doc="dropout of the Transformer")
    init_std: float = identity(
        0.02,
        gt=0,
        doc="standard deviation of new Linear and Embedding weights: BERT's, which suits 768 channels; "
        "narrow models learn to use pictures much sooner with 1 / sqrt(width)",
    )
    vocab_size: int = identity(30522, ge=8, doc="WordPiece vocabulary; the run's tokenizer may not exceed it")
    text_length: int = identity(16, ge=4, doc="tokens of a sentence, [CLS] and [SEP] included; longer ones are cut")
    max_text_positions: int = identity(512, ge=4, doc="rows of the text position table")
    n_answers: int = identity(
        0,
        ge=0,
        doc="classes of an answering head, which replaces pre-training's heads (VQA 2.0: 3129); 0 for pre-training",
    )
    bert_weights: str = identity(
        "random",
        doc="initial weights of BERT's layers, with its vocabulary: random | a Hugging Face name | a folder or file",
    )
    model_weights: str = identity("", doc="a whole model to start from: an exported folder or an official file")
    gradient_checkpointing: bool = operational(
        False, doc="recompute Transformer layers (SOHO: and trunk blocks without live statistics) in the backward pass"
    )

    def check_sizes(self) -> None:
        """Raises ValueError for sizes that do not go together."""
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ValueError(f"image_size {self.image_size} must be multiples of 32")
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        if self.width % 4:
            raise ValueError(f"width {self.width} is not a multiple of 4: half of the position code is sines of rows")
        if self.text_length > self.max_text_positions:
            raise ValueError(f"text_length {self.text_length} exceeds max_text_positions {self.max_text_positions}")


class Bert(nn.Module):
    """Word embeddings and the layers over text and visual tokens."""

    def __init__(self, config: PictureTextSection) -> None:
        super().__init__()
        self.embeddings = Embeddings(config.vocab_size, config.max_text_positions, config.width, config.dropout)
        self.encoder = Encoder(
            config.n_layers, config.width, config.n_heads, config.dropout, checkpointed=config.gradient_checkpointing
        )


class Language(nn.Module):
    """The Transformer under the key `bert`."""

    def __init__(self, config: PictureTextSection) -> None:
        super().__init__()
        self.bert = Bert(config)

    def forward(self, text: tuple[Tensor, Tensor], visual: Tensor, visual_mask: Tensor) -> Tensor:
        """Ids and mask [R, L], visual tokens [R, P, D] and their mask [R, P] -> [R, L+P, D], text first."""
        ids, mask = text
        tokens = torch.cat([self.bert.embeddings(ids), visual.to(self.bert.embeddings.LayerNorm.weight.dtype)], 1)
        return self.bert.encoder(tokens, torch.cat([mask.bool(), visual_mask], 1), slice(None))
