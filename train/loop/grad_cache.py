"""Contrastive gradients of a batch that doesn't fit in memory, in two passes over micro-batches (GradCache, Gao 2021).

    pass 1   embed each micro-batch without a graph and keep the embeddings; compute the loss over all of them, and its
             gradient with respect to each embedding
    pass 2   embed each micro-batch again, with a graph, and backpropagate its embeddings' gradients through it

The gradients equal those of the whole batch at once: the second pass over a micro-batch replays the random state of its
first, so that dropout and stochastic depth draw the same masks. Ranks exchange gradients once, in the last
micro-batch's backward pass.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.losses import EMBEDDINGS, Spans
from train.models.wrapping import gradient_sync
from train.rows import Rows

SAME_PASS = 0.02
"""Largest relative difference of two passes: rounding in bf16 stays below it, dropout that isn't replayed does not."""

GlobalLoss = Callable[[Any], Tensor]
LocalLoss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True, slots=True)
class RandomState:
    """The state of torch's generators that a forward pass on `device` draws from."""

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def of(cls, device: torch.device) -> "RandomState":
        """The current state."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(device, torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Sets the generators back to this state."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def cached_backward(
    model: nn.Module,
    micro_batches: Sequence[Rows],
    loss_fn: GlobalLoss,
    *,
    local_loss: LocalLoss | None = None,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    spans: Spans = EMBEDDINGS,
    check: bool = False,
) -> Tensor:
    """Accumulates the gradients of the loss over all micro-batches of this rank (and all ranks); returns the loss, [].

    `spans` names the model outputs that `loss_fn` reads: it gets those of all micro-batches together, in the named
    tuple that the model returns. `local_loss` is a term that is a sum over rows (masked language modelling), called for
    each micro-batch. `model` may be wrapped in DDP or FSDP2; all ranks must have the same number of micro-batches.
    The random generators end as after a single pass. `check` compares the second pass with the first (UserError if they
    differ), which makes this process wait for the GPU.
    """
    if len(micro_batches) == 1:
        return _whole_backward(model, micro_batches[0], loss_fn, local_loss, autocast)
    embedded, states = _embed_all(model, micro_batches, autocast, spans)
    after = RandomState.of(states[0].device)
    loss, gradients = _gradients_of_embeddings(embedded, loss_fn, spans)
    start = 0
    for i, (batch, state) in enumerate(zip(micro_batches, states, strict=True)):
        last = i == len(micro_batches) - 1
        rows = slice(start, start + len(batch))
        wanted = {name: gradients[name][rows] for name in spans.rows}
        if last:  # outputs shared by the whole batch (the temperature): their gradient is added once
            wanted |= {name: gradients[name] for name in spans.shared}
        state.restore()
        with gradient_sync(model, enabled=last):
            with autocast():
                features = model(batch)
            if check:
                _refuse_another_pass(features, {name: getattr(embedded, name)[rows] for name in spans.rows})
            loss = loss + _backward(features, wanted, batch, local_loss)
        start = rows.stop
    after.restore()
    return loss


def _refuse_another_pass(features: Any, before: dict[str, Tensor]) -> None:
    """Raises UserError if the second pass gives other embeddings: the first pass's gradients would not fit them."""
    for name, first in before.items():
        second = getattr(features, name).detach()
        off = float((second.double() - first.double()).norm() / first.double().norm().clamp(min=1e-30))
        if not off <= SAME_PASS:
            raise UserError(
                f"loop.micro_batch: the second pass over a micro-batch gives another {name} than the first (off by "
                f"{off:.1%}): the model draws at random outside torch's generators, or changes as it runs; set "
                "loop.micro_batch: 0"
            )


def _whole_backward(
    model: nn.Module,
    batch: Rows,
    loss_fn: GlobalLoss,
    local_loss: LocalLoss | None,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """An ordinary backward pass: a single micro-batch needs no second."""
    with autocast():
        features = model(batch)
    loss = loss_fn(features)
    if local_loss is not None:
        loss = loss + local_loss(features, batch)
    torch.autograd.backward(loss)
    return loss.detach()


@torch.no_grad()
def _embed_all(
    model: nn.Module,
    micro_batches: Sequence[Rows],
    autocast: Callable[[], AbstractContextManager[object]],
    spans: Spans,
) -> tuple[Any, list[RandomState]]:
    """Pass 1: (the outputs of all rows that the loss reads, the random state at the start of each micro-batch)."""
    names = (*spans.rows, *spans.shared)
    parts, states = [], []
    for batch in micro_batches:
        states.append(RandomState.of(batch.device))
        with autocast():
            parts.append(model(batch, only=names))
    rows = {name: torch.cat([getattr(part, name) for part in parts]) for name in spans.rows}
    return parts[-1]._replace(**rows), states


def _gradients_of_embeddings(embedded: Any, loss_fn: GlobalLoss, spans: Spans) -> tuple[Tensor, dict[str, Tensor]]:
    """(the loss, its gradients with respect to the outputs that it reads)."""
    names = (*spans.rows, *spans.shared)
    leaves = {name: getattr(embedded, name).detach().clone().requires_grad_() for name in names}
    with torch.enable_grad():
        loss = loss_fn(embedded._replace(**leaves))
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return loss.detach(), dict(zip(names, gradients, strict=True))


def _backward(features: Any, gradients: dict[str, Tensor], batch: Rows, local_loss: LocalLoss | None) -> Tensor:
    """Backpropagates the embeddings' gradients and the local loss through a micro-batch; returns the local loss."""
    pairs = [(getattr(features, name), gradient) for name, gradient in gradients.items()]
    pairs = [(output, gradient) for output, gradient in pairs if output.requires_grad]
    roots: list[Tensor] = [output for output, _ in pairs]
    wanted: list[Tensor | None] = [gradient for _, gradient in pairs]
    local = torch.zeros((), device=batch.device)
    if local_loss is not None:
        local = local_loss(features, batch)
        roots.append(local)
        wanted.append(None)
    torch.autograd.backward(roots, wanted)
    return local.detach()
