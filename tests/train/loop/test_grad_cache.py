"""Cached gradients are those of the whole batch, in one process (on several: test_distributed.py)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch

from manifests.errors import UserError
from tests.train.model_cases import (
    assert_same,
    cached_losses,
    gradients_of,
    small_batch,
    small_config,
    small_model,
    whole_loss,
)
from train.loop.grad_cache import cached_backward
from train.losses import Spans, contrastive_loss
from train.rows import Rows

CHANGES: list[dict[str, Any]] = [
    {},
    {"stage": 2},
    {"stage": 2, "freeze_stage1": True},
    {"gradient_checkpointing": True},
    {"trunk_norm": "group"},
]


@pytest.mark.parametrize("n_clips", [1, 2, 3, 6, 7])
def test_any_micro_batch_size_gives_the_gradients_of_the_whole_batch(n_clips: int) -> None:
    batch = small_batch(small_config(), 6)
    assert_same(cached(batch, n_clips, {}), whole(batch, {}))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize("kind", ["infonce", "siglip"])
def test_it_holds_in_both_stages_for_both_losses(changes: dict[str, Any], kind: str) -> None:
    batch = small_batch(small_config(**changes), 4)
    assert_same(cached(batch, 2, changes, kind), whole(batch, changes, kind))


@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}], ids=str)
def test_dropout_and_stochastic_depth_are_replayed(changes: dict[str, Any]) -> None:
    noisy = {"dropout": 0.4, "drop_path": 0.5, **changes}
    batch = small_batch(small_config(**noisy), 6)
    torch.manual_seed(3)
    found = cached(batch, 2, noisy)
    end = torch.rand(4)
    torch.manual_seed(3)
    assert_same(found, kept_graphs(batch, 2, noisy))
    assert torch.equal(end, torch.rand(4)), "generators must end where one pass leaves them"
    torch.manual_seed(4)
    with pytest.raises(AssertionError, match="is off by"):
        assert_same(found, kept_graphs(batch, 2, noisy))


def test_a_loss_that_draws_at_random_moves_no_generator() -> None:
    batch = small_batch(small_config(stage=2), 6)
    losses = cached_losses(batch)

    def next_draw(local_loss: Callable[..., torch.Tensor]) -> torch.Tensor:
        torch.manual_seed(3)
        cached_backward(small_model(stage=2), batch.split(2), **{**losses, "local_loss": local_loss})
        return torch.rand(4)

    def noisy(*args: Any) -> torch.Tensor:
        torch.rand(5)
        return losses["local_loss"](*args)

    assert torch.equal(next_draw(noisy), next_draw(losses["local_loss"]))


def cached(batch: Any, n_clips: int, changes: dict[str, Any], kind: str = "infonce") -> dict[str, torch.Tensor]:
    model = small_model(**changes)
    loss = cached_backward(model, batch.split(n_clips), **cached_losses(batch, kind))
    assert not loss.requires_grad
    return gradients_of(model)


def whole(batch: Any, changes: dict[str, Any], kind: str = "infonce") -> dict[str, torch.Tensor]:
    model = small_model(**changes)
    torch.autograd.backward(whole_loss(model(batch), batch, kind))
    return gradients_of(model)


def kept_graphs(batch: Any, n_clips: int, changes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The same micro-batches with all their graphs in memory: what the cache saves."""
    model = small_model(**changes)
    parts = [model(part) for part in batch.split(n_clips)]
    video, text = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    scale, bias = parts[0].logit_scale, parts[0].logit_bias
    torch.autograd.backward(contrastive_loss(video, text, scale, None, "infonce", bias))
    return gradients_of(model)


def test_a_second_pass_that_sees_something_else_is_refused_where_it_is_checked() -> None:
    batch = small_batch(small_config(), 4)
    assert_same(
        whole(batch, {"dropout": 0.0}),
        cached_checked(small_model(dropout=0.0), batch),
    )
    model = small_model()
    draws = iter(torch.rand(8, generator=torch.Generator().manual_seed(0)))
    inner = model.transformer.embed_text
    model.transformer.embed_text = lambda hidden, mask: inner(hidden + next(draws), mask)  # type: ignore[method-assign]
    with pytest.raises(UserError, match="another text than the first"):
        cached_checked(model, batch)


def cached_checked(model: Any, batch: Any) -> dict[str, torch.Tensor]:
    cached_backward(model, batch.split(2), check=True, **cached_losses(batch))
    return gradients_of(model)


def test_gradients_add_up_over_calls() -> None:
    batch = small_batch(small_config(), 4)
    model = small_model()
    once = whole(batch, {})
    for _ in range(2):
        cached_backward(model, batch.split(2), **cached_losses(batch))
    assert_same(gradients_of(model), {name: 2 * g for name, g in once.items()})


def test_autocast_goes_around_every_forward_pass() -> None:
    batch = small_batch(small_config(), 4)
    model = small_model().float()
    bf16: Callable[[], Any] = lambda: torch.autocast("cpu", torch.bfloat16)  # noqa: E731
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    cached_backward(model, batch.split(2), autocast=bf16, **cached_losses(batch))
    assert seen == [True] * 4
    assert all(torch.isfinite(g).all() for g in gradients_of(model).values())


class TwoOutputs(torch.nn.Module):
    """A model in miniature: its outputs, and how often it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.ways = torch.nn.ModuleList([torch.nn.Linear(3, 2, bias=False) for _ in range(2)])
        self.n_runs = 0

    def forward(self, rows: Rows, only: tuple[str, ...] = ()) -> "Pair":
        self.n_runs += 1
        return Pair(*(way(rows.x) for way in self.ways))


class Pair(NamedTuple):
    video: torch.Tensor
    text: torch.Tensor


def small_pass(n_rows: int, loss: Callable[[Pair], torch.Tensor], **options: Any) -> tuple[TwoOutputs, torch.Tensor]:
    torch.manual_seed(0)
    model, rows = TwoOutputs(), Rows(x=torch.arange(12.0).reshape(4, 3))
    return model, cached_backward(model, rows.split(n_rows), loss, spans=Spans(("video", "text")), **options)


def test_a_loss_may_leave_out_an_output_that_it_could_read() -> None:
    """A gradient of zeros there: what ranks exchange has to be the same everywhere."""
    cut, of_cut = small_pass(2, lambda outputs: outputs.video.square().sum())
    whole, of_whole = small_pass(4, lambda outputs: outputs.video.square().sum())

    assert torch.allclose(cut.ways[0].weight.grad, whole.ways[0].weight.grad) and torch.allclose(of_cut, of_whole)
    assert not cut.ways[1].weight.grad.any()
    assert (cut.n_runs, whole.n_runs) == (4, 1), "rows that are in memory at once need no second pass"


def test_an_output_that_needs_no_gradient_gets_none() -> None:
    torch.manual_seed(0)
    model, rows = TwoOutputs(), Rows(x=torch.arange(12.0).reshape(4, 3))
    model.ways[1].requires_grad_(False)

    cached_backward(model, rows.split(3), lambda o: (o.video * o.text).sum(), spans=Spans(("video", "text")))

    alone, _ = small_pass(4, lambda outputs: (outputs.video * outputs.text).sum())
    assert torch.allclose(model.ways[0].weight.grad, alone.ways[0].weight.grad) and model.ways[1].weight.grad is None
