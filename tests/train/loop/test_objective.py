"""One step's gradients: those of the whole batch, however it is cut, and no gradient for what nothing asks."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from manifests.settings import Section, identity
from tests.train.matrix import Case, config_of, plain_rows
from tests.train.model_cases import TOKENS, assert_same, gradients_of, small_model
from train import objectives
from train.loop import objective
from train.loop.objective import backward, mark_trainable
from train.models import hd_vila_kind
from train.objectives import Draw, Objective, Spans, prepare

ALL = (("contrastive", 1.0), ("mlm", 0.5), ("itm", 2.0))


def step(micro_batch: int) -> tuple[dict[str, torch.Tensor], dict[str, float], float]:
    config = config_of(Case("none", 2, False, ALL, micro_batch))
    model = small_model(stage=2, itm=True)
    rows = prepare(plain_rows(config), Draw(0, 0, TOKENS), config.objective)
    loss = backward(model, rows, config)
    return gradients_of(model), {name: float(term) for name, term in loss.terms.items()}, float(loss.total)


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_micro_batches_give_the_gradients_and_terms_of_the_whole(micro_batch: int) -> None:
    whole, terms, total = step(0)
    cut, terms_cut, total_cut = step(micro_batch)

    assert_same(cut, whole)
    assert terms_cut == pytest.approx(terms) and total_cut == pytest.approx(total)
    assert total == pytest.approx(terms["contrastive"] + 0.5 * terms["mlm"] + 2 * terms["itm"])


def test_what_no_objective_reaches_gets_no_gradient() -> None:
    model = small_model(stage=2, itm=True)

    def trained(n_objectives: int) -> set[str]:
        mark_trainable(model, config_of(Case("none", 2, False, ALL[:n_objectives])))
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    assert trained(1) < trained(2) < trained(3)
    assert trained(1) == trained(1), "what had no gradient gets it back"


class Wish(Section):
    wish: float = identity(0.0, ge=0, doc="weight of an objective that is not the trainer's own")


WORDS = (("mlm", 0.5),)


@pytest.mark.parametrize(
    ("asked", "others"),
    [
        (("video", "text"), ()),
        (("video",), ()),
        (("text", "logit_bias"), ()),
        (("video", "logit_scale"), WORDS),
    ],
)
def test_an_objective_over_some_outputs_trains_what_they_pass_through_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], others: tuple[tuple[str, float], ...]
) -> None:
    def loss(outputs: Any, *_: object) -> Tensor:
        return torch.stack([getattr(outputs, name).square().sum() for name in asked]).sum()

    wish = Objective("wish", Wish, loss, spans=Spans(asked))
    monkeypatch.setattr(objectives, "OBJECTIVES", [*objectives.OBJECTIVES, wish])
    kind = replace(hd_vila_kind.KIND, objectives=(*hd_vila_kind.KIND.objectives, "wish"))
    monkeypatch.setattr(hd_vila_kind, "KIND", kind)
    config = config_of(Case("none", 2, False, (("contrastive", 0.0), ("wish", 1.0), *others)))
    model = small_model(stage=2, learn_temperature=True)

    mark_trainable(model, config)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    model.requires_grad_(True)
    backward(model, prepare(plain_rows(config), Draw(0, 0, TOKENS), config.objective), config)

    assert trained == {name for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_without_a_loss_over_the_batch_ranks_exchange_once_and_micro_batches_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exchanges: list[bool] = []
    monkeypatch.setattr(objective, "gradient_sync", lambda _, enabled: exchanges.append(enabled) or nullcontext())

    def words_alone(micro_batch: int) -> tuple[dict[str, torch.Tensor], float]:
        config = config_of(Case("none", 2, False, (("contrastive", 0.0), ("mlm", 0.5)), micro_batch))
        model = small_model(stage=2)
        loss = backward(model, prepare(plain_rows(config), Draw(0, 0, TOKENS), config.objective), config)
        assert float(loss.total) == pytest.approx(0.5 * float(loss.terms["mlm"]))
        return gradients_of(model), float(loss.total)

    n_rows = len(plain_rows(config_of(Case("none", 2, False, ALL))))
    cut, total = words_alone(n_rows // 2)
    assert exchanges == [False, True]
    whole, total_whole = words_alone(0)

    assert exchanges[2:] == [True]
    assert_same(cut, whole)
    assert total == pytest.approx(total_whole)
