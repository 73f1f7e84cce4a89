"""Visual Parsing's parts hold what they say: the parser's attention, masking by it, targets that can't collapse."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import swin_t

from manifests.errors import ConfigError
from manifests.settings import parse_config
from tests.train.models.test_soho import small_batch as soho_batch
from train.models.soho.batch import ImageBatch
from train.models.visual_parsing import (
    VisualParsing,
    VisualParsingConfig,
    build_visual_parsing,
    visual_parsing_losses,
)
from train.models.visual_parsing.model import related_tokens
from train.models.visual_parsing.parser import Parser, WindowAttention, over_cells, window_attention

PARAMETERS = {"swin_t": 27_519_354, "swin_s": 48_837_258, "swin_b": 86_743_224}


def small_config(**changes: Any) -> VisualParsingConfig:
    base: dict[str, Any] = {
        "preset": "tiny", "width": 32, "vocab_size": 64, "text_length": 8, "image_size": (64, 96),
        "parser_width": 8, "parser_window": (2, 3), "dropout": 0.0,
    }  # fmt: skip
    return VisualParsingConfig(**{**base, **changes})


def small_batch(n: int = 4, s: int = 1) -> ImageBatch:
    """SOHO's, with a draw a row of the token that is masked."""
    batch = soho_batch(n, s)
    assert batch.draws is not None
    return replace(batch, draws=batch.draws[:, 0])


# ---- the parser ------------------------------------------------------------------------------------------------------


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
    last = Parser(VisualParsingConfig(parser="own", parser_width=8, parser_heads=(1, 2, 4, 8))).double().eval()
    attn = last.features[-1][-1].attn
    assert attn.shift_size == [3, 3]
    torch.nn.init.normal_(attn.relative_position_bias_table)
    x = torch.randn(2, h, w, 64, dtype=torch.float64)
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


# ---- masking ---------------------------------------------------------------------------------------------------------


def test_a_drawn_token_is_masked_with_those_it_attends_to_most() -> None:
    attention = torch.zeros(1, 10, 10)
    attention[0, 4] = torch.tensor([0.1, 0.0, 0.3, 0.05, 0.9, 0.2, 0.1, 0.1, 0.1, 0.05])
    valid = torch.ones(1, 10, dtype=torch.bool)
    masked = related_tokens(attention, valid, torch.tensor([0.45]), 0.4)
    assert masked[0].nonzero()[:, 0].tolist() == [0, 2, 4, 5]  # 4 itself, .3, .2, and of the tied .1 the first


def test_padding_is_never_masked_and_as_many_tokens_as_the_share_says() -> None:
    g = torch.Generator().manual_seed(0)
    attention = torch.rand(50, 49, 49, generator=g)
    valid = torch.ones(50, 49, dtype=torch.bool)
    valid[:, 40:] = False
    masked = related_tokens(attention, valid, torch.rand(50, generator=g), 0.15)
    assert not masked[:, 40:].any()
    assert set(masked.sum(1).tolist()) == {6}
    full = related_tokens(attention, torch.ones_like(valid), torch.rand(50, generator=g), 0.15)
    assert set(full.sum(1).tolist()) == {7}  # of 49 tokens: the drawn one and six


def test_pairs_that_do_not_match_are_masked_but_not_asked() -> None:
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    with torch.no_grad():
        output = model(batch)
    assert output.mfr_mask.any(1).tolist() == [False, True, False, True]
    assert (output.mfr_error > 0).tolist() == [False, True, False, True]


def test_evaluation_masks_nothing_by_itself() -> None:
    model = build_visual_parsing(small_config(), seed=0).eval()
    batch = small_batch()
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        output = model(plain)
    assert not output.mfr_mask.any()
    assert float(visual_parsing_losses(output, plain)["mfr"]) == 0


# ---- the whole -------------------------------------------------------------------------------------------------------


def test_what_lies_outside_a_picture_is_no_token() -> None:
    model = build_visual_parsing(small_config(), seed=0).eval()
    with torch.no_grad():
        output = model(small_batch())
    assert output.visual_mask.sum(1).tolist() == [6, 4, 6, 4]


def test_every_parameter_gets_a_gradient() -> None:
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    torch.autograd.backward(visual_parsing_losses(model(batch), batch)["total"])
    unreached = [name for name, p in model.named_parameters() if p.grad is None]
    assert unreached == []


def total_of(model: VisualParsing, batch: ImageBatch) -> Tensor:
    """A loss that is a sum over rows, through every output."""
    output = model(batch)
    assert output.mlm_logits is not None
    return output.itm_logits.square().sum() + output.mlm_logits.square().sum() + output.mfr_error.sum()


@pytest.mark.parametrize("recompute", [False, True])
def test_micro_batches_give_the_whole_batchs_gradients(recompute: bool) -> None:
    batch = small_batch(8, s=2)
    models = [build_visual_parsing(small_config(gradient_checkpointing=recompute), seed=1).double() for _ in range(2)]
    torch.autograd.backward(total_of(models[0], batch))
    for part in batch.split(2):
        torch.autograd.backward(total_of(models[1], part))
    for (name, a), (_, b) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        assert torch.allclose(a.grad, b.grad, atol=1e-9), name


def test_the_three_losses_fall_on_one_batch_and_targets_keep_their_variance() -> None:
    torch.manual_seed(0)
    model = build_visual_parsing(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(80):
        losses = visual_parsing_losses(model(batch), batch)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        for name, value in {**losses, "variance": model.target_variance}.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "itm", "mfr"):
        assert curves[name][-1] < 0.5 * curves[name][0], (name, curves[name][0], curves[name][-1])
    assert curves["variance"][-1] > 0.5 * curves["variance"][0]


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    first = build_visual_parsing(small_config(), seed=3).state_dict()
    torch.manual_seed(6)
    second = build_visual_parsing(small_config(), seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_parser_file_of_torchvision_loads(tmp_path: Any) -> None:
    config = small_config()
    torch.manual_seed(7)
    weights = {**Parser(config).state_dict(), "head.weight": torch.zeros(3, 3), "head.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "swin.pt")
    model = build_visual_parsing(small_config(parser_weights=str(tmp_path / "swin.pt")), seed=0)
    assert torch.equal(model.parser.features[0][0].weight, weights["features.0.0.weight"])
    assert "swin.pt" in model.weight_sources["parser"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"parser": "own", "parser_heads": (3, 6, 12, 25)}, "do not divide"),
        ({"parser": "swin_x"}, "swin_t"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(VisualParsingConfig, changes, source="model")
