"""Registers Visual Parsing with the trainer; its initial weights: random ones, and which Swin Transformer fits its
parser.
"""

from torch import nn

from manifests.errors import UserError
from train.models.initial_weights import Encoder, build
from train.models.registry import ModelKind, refuse_answers
from train.models.visual_parsing.configs import VisualParsingConfig
from train.models.visual_parsing.model import VisualParsing

SWINS = {"swin_t": "Swin_T", "swin_s": "Swin_S", "swin_b": "Swin_B"}


def build_visual_parsing(config: VisualParsingConfig, *, seed: int) -> VisualParsing:
    """Builds a model with its initial weights, in training mode: see train.models.initial_weights."""
    return build(lambda: VisualParsing(config), init_rest, PARSER, seed=seed)


def init_rest(model: VisualParsing) -> None:
    """Fills all but the parser: normal `init_std` for Linear, Embedding, mask and type, zero biases.

    The parser keeps torchvision's initialisation, which is that of Swin's authors.
    """
    std = model.config.init_std
    for name, module in model.named_modules():
        if name.startswith(PARSER.prefix):
            continue
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.visual_embedding.mask_token, std=std)
    nn.init.normal_(model.visual_embedding.token_type, std=std)


def _imagenet(config: VisualParsingConfig) -> str:
    name = SWINS.get(config.parser)
    if name is None:
        raise UserError("parser_weights: imagenet has swin_t, swin_s and swin_b; set parser to one, or give a file")
    return name


PARSER = Encoder("parser", "parser.", _imagenet, classifier="head.")


KIND = ModelKind(
    section=VisualParsingConfig,
    build=lambda config, seed: build_visual_parsing(config, seed=seed),
    view="picture",
    objectives=("mlm", "itm", "mfr", "answers"),
    refuse=refuse_answers,
)
