"""The parser: torchvision's Swin with its keys, tokens and attention."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import swin_t

from tests.train.models.small_parsing import small_config
from train.models.visual_parsing import (
    VisualParsingConfig,
    build_visual_parsing,
)
from train.models.visual_parsing.parser import Parser, WindowAttention, over_cells, window_attention

PARAMETERS = {"swin_t": 27_519_354, "swin_s": 48_837_258, "swin_b": 86_743_224}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parser_is_torchvisions_with_its_keys(name: Any) -> None:
    with torch.device("meta"):
        parser = Parser(VisualParsingConfig(parser=name))
        theirs = swin_t() if name == "swin_t" else None
    assert sum(p.numel() for p in parser.parameters()) == PARAMETERS[name]
    if theirs is not None:
        assert {k for k in theirs.state_dict() if not k.startswith("head.")} == set(parser.state_dict())


def output_from(found: WindowAttention, attn: Any, x: Tensor) -> Tensor:
    """The block's attention output [B, P, C] rebuilt from the weights: each cell's values, mixed and projected."""
    b, h, w, c = x.shape
    values = torch.cat([attn.qkv(x.flatten(1, 2)), attn.qkv(x.new_zeros(b, 1, c))], 1)  # the last: padding
    values = values.unflatten(-1, (3, attn.num_heads, -1))[:, :, 2]
    out = x.new_zeros(b, h * w + 1, c)
    for window, ids in enumerate(found.cells % (h * w + 1)):
        mixed = found.weights[:, window] @ values[:, ids].transpose(1, 2)
        out[:, ids] = attn.proj(mixed.transpose(1, 2).flatten(2))
    return out[:, :-1]


@pytest.mark.parametrize(("h", "w"), [(7, 7), (4, 6), (14, 14), (9, 16)])
def test_attention_recomputed_from_the_weights_gives_the_blocks_output(h: int, w: int) -> None:
    torch.manual_seed(0)
    last = Parser(VisualParsingConfig(parser_width=12)).double().eval()
    attn = last.features[-1][-1].attn
    assert attn.shift_size == [3, 3]
    torch.nn.init.normal_(attn.relative_position_bias_table)
    x = torch.randn(2, h, w, 96, dtype=torch.float64)
    with torch.no_grad():
        found = window_attention(attn, x)
        assert torch.allclose(output_from(found, attn, x), attn(x).flatten(1, 2), atol=1e-12)
    whole = over_cells(found, h * w)
    assert whole.shape == (2, h * w, h * w)
    if (h, w) == (7, 7):
        assert torch.allclose(whole.sum(-1), torch.ones(2, 49, dtype=torch.float64))
    assert float(whole.sum(-1).max()) <= 1 + 1e-9


def test_the_parsers_tokens_are_torchvisions() -> None:
    torch.manual_seed(0)
    config = small_config()
    parser = Parser(config).eval()
    pixels = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        assert torch.allclose(parser(pixels).tokens, parser.norm(parser.features(pixels)).flatten(1, 2), atol=1e-6)


def test_a_parser_file_of_torchvision_loads(tmp_path: Any) -> None:
    config = small_config()
    torch.manual_seed(7)
    weights = {**Parser(config).state_dict(), "head.weight": torch.zeros(3, 3), "head.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "swin.pt")
    model = build_visual_parsing(small_config(parser_weights=str(tmp_path / "swin.pt")), seed=0)
    assert torch.equal(model.parser.features[0][0].weight, weights["features.0.0.weight"])
    assert "swin.pt" in model.weight_sources["parser"]
