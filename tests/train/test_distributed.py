"""On real processes (gloo): loss and every gradient are those of one process with the whole batch."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.errors import UserError
from tests.train.matrix import ALL_LOSSES, Case, losses_of
from tests.train.model_cases import assert_same, gradients_of, small_batch, small_config, small_model, whole_loss
from tests.train.ranks import N_CLIPS, WAYS, Way, config_of
from tests.train.torchrun import run_on_ranks
from train.distributed import Process, process_from_environment
from train.models.wrapping import wrap

WORLDS = (2, pytest.param(4, marks=pytest.mark.long))


@pytest.fixture(scope="module", params=WORLDS)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What rank 0 of a group of processes wrote down."""
    out: Path = tmp_path_factory.mktemp("ranks") / f"{request.param}.pt"
    run_on_ranks(request.param, "-m", "tests.train.ranks", str(out), log=out.with_suffix(".log"))
    return {"world": request.param, **torch.load(out, weights_only=True)}


@cache
def alone(way: Way) -> tuple[float, dict[str, torch.Tensor]]:
    """The step in one process: the whole batch at once (or, to compare with accumulation, its halves one by one)."""
    model = small_model(stage=way.stage)
    batch = small_batch(config_of(way), N_CLIPS)
    parts = batch.split(N_CLIPS // 2) if way.how == "accumulated" else [batch]
    loss = sum(whole_loss(model(part), part, way.kind) / len(parts) for part in parts)
    assert isinstance(loss, torch.Tensor)
    torch.autograd.backward(loss)
    return float(loss.detach()), gradients_of(model)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_loss_and_gradients_are_those_of_one_process(ranks: dict[str, Any], way: Way) -> None:
    loss, gradients = ranks[way.name]
    wanted_loss, wanted = alone(way)
    assert loss == pytest.approx(wanted_loss, abs=1e-9)
    assert_same(gradients, wanted)


@pytest.mark.parametrize("case", ALL_LOSSES, ids=lambda case: case.name)
def test_steps_of_all_losses_are_those_of_one_process(ranks: dict[str, Any], case: Case) -> None:
    wanted = losses_of(Case("none", case.stage, case.frozen, case.weights))
    assert ranks["steps"][case.name] == pytest.approx(wanted, abs=1e-9)


def test_cached_gradients_hold_with_dropout_and_stochastic_depth_on(ranks: dict[str, Any]) -> None:
    cached, plain = ranks["dropout"]
    assert_same(cached, plain)
    assert any(not torch.equal(plain[name], g) for name, g in alone(WAYS[0])[1].items()), (
        "dropout must have done something"
    )


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_bf16_computes_the_same_step_roughly_and_leaves_gradients_in_fp32(ranks: dict[str, Any], strategy: str) -> None:
    loss, gradients = ranks["bf16"][strategy]
    wanted_loss, wanted = alone(WAYS[0])
    assert loss == pytest.approx(wanted_loss, rel=0.05)
    assert all(gradient.dtype == torch.float32 for gradient in gradients.values())
    found, right = (torch.cat([g[name].double().flatten() for name in wanted]) for g in (gradients, wanted))
    assert float(torch.cosine_similarity(found, right, dim=0)) > 0.95


def test_a_sharded_model_embeds_as_a_whole_one(ranks: dict[str, Any]) -> None:
    batch = small_batch(small_config(), 2)
    with torch.no_grad():
        wanted = small_model().eval().embed(batch.img_middle, batch.img_other, batch.input_ids, batch.attention_mask)
    for found, right in zip(ranks["embedded"], wanted, strict=True):
        assert torch.allclose(found, right, atol=1e-9)


def test_gather_keeps_the_order_of_ranks(ranks: dict[str, Any]) -> None:
    world = ranks["world"]
    assert ranks["gathered"][:, 0].tolist() == [float(rank) for rank in range(world) for _ in range(2)]
    assert ranks["mean"] == pytest.approx((world - 1) / 2)


def test_a_strategy_without_processes_names_the_cure() -> None:
    with pytest.raises(UserError, match="start the run with torchrun"):
        wrap(small_model(), "fsdp2")


def test_a_place_without_torchrun_is_the_only_process() -> None:
    assert process_from_environment("cpu") == Process(0, 1, torch.device("cpu"))


def test_a_missing_gpu_is_one_clear_message() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match="torch sees no CUDA device"):
        process_from_environment("cuda")
