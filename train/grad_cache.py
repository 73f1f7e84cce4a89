"""Contrastive gradients of a batch that memory can't hold, in two passes over micro-batches (GradCache, Gao 2021).

    pass 1   embed each micro-batch without a graph, keep the embeddings; loss of all of them; its gradient with respect
             to each embedding
    pass 2   embed each micro-batch again, with a graph, and send its embeddings' gradients back through it

The gradients are those of the whole batch at once: the random state of each micro-batch's first pass is replayed in
its second, so that dropout and stochastic depth draw the same masks. Gradients are exchanged between ranks once, in the
last micro-batch's backward pass.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.distributed import gradient_sync
from train.models.batch import Batch, Features

GlobalLoss = Callable[[Features], Tensor]
LocalLoss = Callable[[Features, Batch], Tensor]


@dataclass(frozen=True, slots=True)
class RandomState:
    """The state of torch's generators that a forward pass on `device` draws from."""

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def of(cls, device: torch.device) -> "RandomState":
        """The state now."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(device, torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Draw from here on as then."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def cached_backward(
    model: nn.Module,
    micro_batches: Sequence[Batch],
    loss_fn: GlobalLoss,
    *,
    local_loss: LocalLoss | None = None,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """Accumulate the gradients of the loss over all micro-batches of this rank (and of all ranks); the loss: [].

    `loss_fn` gets the embeddings of all micro-batches together (video and text [n, D], temperature and bias).
    `local_loss` is a term that is a sum over clips (masked language modelling), called for each micro-batch. `model`
    may be wrapped in DDP or FSDP2; every rank must hold the same number of micro-batches. Random generators end as
    after one pass.
    """
    if len(micro_batches) == 1:
        return _whole_backward(model, micro_batches[0], loss_fn, local_loss, autocast)
    embedded, states = _embed_all(model, micro_batches, autocast)
    after = RandomState.of(states[0].device)
    loss, gradients = _gradients_of_embeddings(embedded, loss_fn)
    start = 0
    for i, (batch, state) in enumerate(zip(micro_batches, states, strict=True)):
        last = i == len(micro_batches) - 1
        rows = slice(start, start + len(batch))
        # The temperature is one for the whole batch: its gradient goes in once.
        scalars = gradients[2:] if last else (None, None)
        state.restore()
        with gradient_sync(model, enabled=last):
            with autocast():
                features = model(batch)
            loss = loss + _backward(features, (gradients[0][rows], gradients[1][rows], *scalars), batch, local_loss)
        start = rows.stop
    after.restore()
    return loss


def _whole_backward(
    model: nn.Module,
    batch: Batch,
    loss_fn: GlobalLoss,
    local_loss: LocalLoss | None,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """One micro-batch needs no second pass."""
    with autocast():
        features = model(batch)
    loss = loss_fn(features)
    if local_loss is not None:
        loss = loss + local_loss(features, batch)
    torch.autograd.backward(loss)
    return loss.detach()


@torch.no_grad()
def _embed_all(
    model: nn.Module, micro_batches: Sequence[Batch], autocast: Callable[[], AbstractContextManager[object]]
) -> tuple[Features, list[RandomState]]:
    """Pass 1: (embeddings of all clips, the random state that each micro-batch began with)."""
    parts, states = [], []
    for batch in micro_batches:
        states.append(RandomState.of(batch.input_ids.device))
        with autocast():
            parts.append(model(batch, embeddings_only=True))
    video, text = (torch.cat([getattr(part, name) for part in parts]) for name in ("video", "text"))
    return Features(video, text, parts[-1].logit_scale, parts[-1].logit_bias), states


def _gradients_of_embeddings(embedded: Features, loss_fn: GlobalLoss) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(loss, its gradients with respect to video, text, logit_scale and logit_bias)."""
    leaves = [value.detach().clone().requires_grad_() for value in embedded[:4]]
    with torch.enable_grad():
        loss = loss_fn(Features(*leaves))
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return loss.detach(), gradients


def _backward(
    features: Features, gradients: Sequence[Tensor | None], batch: Batch, local_loss: LocalLoss | None
) -> Tensor:
    """Send the embeddings' gradients, and the local term's own, through one micro-batch's graph; the local term."""
    pairs = [(x, g) for x, g in zip(features[:4], gradients, strict=True) if g is not None and x.requires_grad]
    roots: list[Tensor] = [x for x, _ in pairs]
    wanted: list[Tensor | None] = [g for _, g in pairs]
    local = torch.zeros((), device=features.video.device)
    if local_loss is not None:
        local = local_loss(features, batch)
        roots.append(local)
        wanted.append(None)
    torch.autograd.backward(roots, wanted)
    return local.detach()
