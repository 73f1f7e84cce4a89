"""Evaluates held-out clips: retrieval if the model has two towers, and the losses of the run's other objectives."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.config import TrainConfig
from train.data.index import Index
from train.data.loader import Loaded, blank_rows
from train.data.registry import SampleView, Source
from train.distributed import Process, gathered
from train.evaluation.held_out import Share, losses_on
from train.evaluation.scores import Scores, score_retrieval
from train.feed.batches import rows_of, view_of
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import autocast, unwrap
from train.objectives import active

Part = tuple[Tensor, Tensor, list[str], int]


def evaluate(
    model: nn.Module, index: Index, tokenizer: Tokenizer, config: TrainConfig, process: Process, source: Source
) -> Scores:
    """The scores of a model on an index's clips (the first `eval.max_clips`). All ranks call it and get the same.

    Views are deterministic: segments at the middles of equal parts, and the centre crop.
    """
    was_training = model.training
    model.eval()
    share = Share.of(index, config, process)
    held_out = None
    if terms := [term for term in active(config.objective) if term[0].spans is None]:
        held_out = losses_on(model, share.chunks(index, config, source), terms, config, tokenizer, share.n_rounds)
    if unwrap(model).towers is None:
        assert held_out is not None
        model.train(was_training)
        return held_out
    video, text, captions, positions = _embed(
        model, share.chunks(index, config, source), view_of(config), config, tokenizer
    )
    model.train(was_training)
    own = sum(at < len(share.rows) for at in positions)
    parts = gathered((video[:own], text[:own], captions[:own], len(share.rows) - own), process)
    joined = [caption for part in parts for caption in part[2]]
    if not joined:
        raise UserError(f"{index.manifest.root}: none of the {share.n_clips} clips of the val split can be read")
    n_lost = sum(part[3] for part in parts)
    video, text = (torch.cat([p[k] for p in parts]) for k in (0, 1))  # type: ignore[misc]
    return replace(score_retrieval(video, text, joined, n_lost), held_out=held_out)


@torch.no_grad()
def _embed(
    model: nn.Module, chunks: Iterable[Loaded], view: SampleView, config: TrainConfig, tokenizer: Tokenizer
) -> tuple[Tensor, Tensor, list[str], list[int]]:
    """`(video [n, d], text [n, d], captions, positions)` of all clips in `chunks`, on the CPU."""
    inner = unwrap(model)
    assert inner.towers is not None
    device = next(model.parameters()).device
    kept_by_tower: tuple[list[Tensor], list[Tensor]] = ([], [])
    captions: list[str] = []
    positions: list[int] = []
    for loaded in chunks:
        # If nothing in a chunk could be read, the model runs on a blank row (FSDP2's ranks go together), then dropped.
        whole = loaded if loaded.keys else Loaded(blank_rows(view), [""], [""], [-1], [-1])
        rows = rows_of(whole, tokenizer, config).to(device)
        with autocast(config.loop.precision, device):
            outputs = inner(rows, only=inner.towers)
        for kept, name in zip(kept_by_tower, inner.towers, strict=True):
            kept.append(getattr(outputs, name)[: len(loaded.keys)].float().cpu())
        captions += loaded.texts
        positions += loaded.positions
    video, text = (torch.cat(kept) for kept in kept_by_tower)
    return video, text, captions, positions
