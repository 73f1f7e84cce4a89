"""Pairs through the layers over both: matching as counted by hand, and the flow between modalities."""

from typing import Any

import pytest
import torch
from torch import Tensor

from manifests.errors import UserError
from tests.train.model_cases import small_batch as hd_vila_batch
from tests.train.model_cases import small_config as hd_vila_config
from tests.train.model_cases import small_model as hd_vila
from tests.train.models.small_parsing import small_batch as parsing_batch
from tests.train.models.small_parsing import small_config as parsing_config
from tests.train.models.small_soho import small_batch, small_config
from train.evaluation.flow import FlowRecorder, attention_of, flow_of_attention
from train.evaluation.matching import score_of_all
from train.models.bert import SelfAttention
from train.models.soho import build_soho
from train.models.visual_parsing import build_visual_parsing


def test_scores_of_matching_are_those_counted_by_hand() -> None:
    scores = torch.tensor([[2.0, -1.0, 3.0], [-1.0, 1.0, -2.0], [0.5, -1.0, -0.5]])  # pictures x sentences
    found = score_of_all(scores, ["a", "b", "c"])
    assert found.image_to_text[1] == pytest.approx(1 / 3)  # pictures 0 and 2 prefer another sentence
    assert found.text_to_image[1] == pytest.approx(2 / 3)  # sentence c finds picture 0 first
    assert found.accuracy == pytest.approx(4 / 6)  # wrong are 2 with c and 2 with a
    assert found.chance[1] == pytest.approx(1 / 3)
    same = score_of_all(torch.zeros(2, 2), ["a", "b"])
    assert same.text_to_image[1] == 0.0  # ties count against the model


N_TEXT, N_VISION = 16, 49
N = N_TEXT + N_VISION
IS_TEXT = torch.arange(N) < N_TEXT
ALL = torch.ones(1, N, dtype=torch.bool)


def random_attention(n: int = N, heads: int = 4, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(1, heads, n, n, generator=g, dtype=torch.float64).mul(2).softmax(-1)


def numbers(attention: Tensor, valid: Tensor = ALL, is_text: Tensor = IS_TEXT) -> list[float]:
    return [float(value) for value in flow_of_attention(attention, valid, is_text)]


@pytest.mark.parametrize("seed", range(5))
def test_flow_is_a_share_and_the_directions_add_up_to_it(seed: int) -> None:
    imf, t2v, v2t, _ = numbers(random_attention(seed=seed))
    assert 0 <= imf <= 1
    assert N * imf == pytest.approx(N_TEXT * t2v + N_VISION * v2t)


def test_even_attention_has_the_share_of_the_token_counts() -> None:
    imf, t2v, v2t, lift = numbers(torch.full((1, N, N), 1 / N))
    assert imf == pytest.approx(0.3711, abs=1e-4)
    assert t2v == pytest.approx(0.7538, abs=1e-4)
    assert v2t == pytest.approx(0.2462, abs=1e-4)
    assert lift == pytest.approx(1.0)


def test_nothing_crosses_gives_zero_and_all_across_gives_one() -> None:
    same = (IS_TEXT[:, None] == IS_TEXT[None]).double()
    within, across = (x / x.sum(-1, keepdim=True) for x in (same, 1 - same))
    assert numbers(within[None])[:3] == [0.0, 0.0, 0.0]
    assert numbers(across[None])[:3] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("absent", ["text", "vision"])
def test_one_modality_alone_is_an_error(absent: str) -> None:
    valid = ~IS_TEXT[None] if absent == "text" else IS_TEXT[None]
    with pytest.raises(UserError, match="both modalities"):
        flow_of_attention(random_attention(), valid, IS_TEXT)


def test_the_attention_is_what_the_layer_computes_with() -> None:
    torch.manual_seed(0)
    module = SelfAttention(32, 4, dropout=0.1).double().eval()
    x = torch.randn(3, 10, 32, dtype=torch.float64)
    mask = (torch.arange(10) < torch.tensor([10, 7, 4])[:, None])[:, None, None]
    values = module.value(x).unflatten(-1, (4, -1)).transpose(1, 2)
    q, k = (linear(x).unflatten(-1, (4, -1)).transpose(1, 2) for linear in (module.query, module.key))
    weights = (q @ k.mT / 8**0.5).masked_fill(~mask, float("-inf")).softmax(-1)
    assert torch.allclose((weights @ values).transpose(1, 2).flatten(2), module(x, mask))
    assert torch.allclose(weights.mean(1), attention_of(module, x, mask))


def passes() -> dict[str, Any]:
    """{model: (the model in evaluation, a pass, text tokens of its sequences, its layers over both)}."""
    batch = small_batch()
    soho, parsing = build_soho(small_config(), seed=0).eval(), build_visual_parsing(parsing_config(), seed=0).eval()
    clips = hd_vila_batch(hd_vila_config(stage=2), 2)
    stage2 = hd_vila(stage=2).eval()
    return {
        "soho": (soho, lambda: soho(batch), 8, 2, 4),
        "visual_parsing": (parsing, lambda: parsing(parsing_batch()), 8, 2, 4),
        "hd_vila": (stage2, lambda: stage2(clips), clips.input_ids.shape[1], None, None),
    }


@pytest.mark.parametrize("name", ["soho", "visual_parsing", "hd_vila"])
def test_each_model_tells_its_flow_by_layer(name: str) -> None:
    model, run, n_text, n_layers, n_examples = passes()[name]
    with torch.no_grad(), FlowRecorder(n_text).recording(model) as recorder:
        run()
    flow = recorder.result()
    if n_layers is None:
        n_layers = model.config.n_multimodal_layers
    assert len(flow.imf) == n_layers
    assert n_examples is None or flow.n_examples == n_examples
    assert 0 < float(flow.imf.min()) <= float(flow.imf.max()) < 1
    assert len(flow.table().splitlines()) == n_layers + 3
    assert not any(hooks for module in model.modules() for hooks in [module._forward_pre_hooks])


def test_a_model_without_layers_over_both_says_so() -> None:
    model = hd_vila(stage=1).eval()
    batch = hd_vila_batch(hd_vila_config(stage=1), 2)
    with torch.no_grad(), FlowRecorder(batch.input_ids.shape[1]).recording(model) as recorder:
        model(batch)
    with pytest.raises(UserError, match="stage 2"):
        recorder.result()
