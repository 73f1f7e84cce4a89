"""What a run holds out, and the losses on it: the mean over rows of each objective, and how often it is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from train.config import TrainConfig
from train.data.index import Index
from train.data.loader import ClipDataset, Loaded, blank_rows, read_once
from train.data.registry import Source
from train.distributed import Process, sum_over_ranks, world_size
from train.evaluation.scores import HeldOut
from train.feed.batches import TrainData, rows_of, view_of
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import autocast, unwrap
from train.objectives import Draw, Objective, prepare


def no_val(config: TrainConfig, data: TrainData) -> str:
    """Why a run's data has nothing to evaluate on; "" if it has."""
    if data.val is not None:
        return ""
    if config.data.questions:
        return "no questions are held out: name a file in eval.questions, or give --videos and --questions"
    place, splits = config.data.manifest or config.data.videos, sorted({shard.split for shard in data.manifest.shards})
    return f"{place}: has no split {config.data.val_split!r} to evaluate on; it has {', '.join(splits)}"


@dataclass(frozen=True, slots=True)
class Share:
    """A rank's share of the clips that are evaluated."""

    rows: range
    n_clips: int
    n_rounds: int
    """Clips that each rank reads: under FSDP all ranks have to run the model equally often."""

    @classmethod
    def of(cls, index: Index, config: TrainConfig, process: Process) -> Share:
        """The share of this process in the first `eval.max_clips` clips."""
        n_clips = min(config.eval.max_clips or len(index), len(index))
        return cls(range(process.rank, n_clips, process.world), n_clips, -(-n_clips // process.world))

    def chunks(self, index: Index, config: TrainConfig, source: Source) -> Iterator[Loaded]:
        """The clips, `eval.batch` at a time; a rank with fewer than others repeats its last."""
        d = config.data
        padded = [*self.rows, *[self.rows[-1] if self.rows else 0] * (self.n_rounds - len(self.rows))]
        dataset = ClipDataset(
            index, view_of(config), source, seed=None, n_workers=d.workers, storage_options=d.storage_options
        )
        return read_once(dataset, padded, d.workers, config.eval.batch)


@torch.no_grad()
def losses_on(
    model: nn.Module,
    chunks: Iterable[Loaded],
    terms: Sequence[tuple[Objective, float]],
    config: TrainConfig,
    tokenizer: Tokenizer,
    n_rounds: int,
) -> HeldOut:
    """The objectives' losses over all chunks. Draws are those of step -1, so that every evaluation masks the same."""
    inner, device = unwrap(model), next(model.parameters()).device
    sums = dict.fromkeys((objective.name for objective, _ in terms), 0.0)
    judged = {objective.name: torch.zeros(2, device=device) for objective, _ in terms if objective.judged}
    n_rows = n_lost = 0
    for number, loaded in enumerate(chunks):
        size = min(config.eval.batch, n_rounds - number * config.eval.batch)
        # Ranks draw partners together, so each needs equally many rows: readable ones stand in for unreadable ones.
        filled = loaded if loaded.keys else Loaded(blank_rows(view_of(config)), [""], [""], [-1], [-1])
        rows = rows_of(filled, tokenizer, config)[torch.arange(size) % len(filled.keys)]
        draw = Draw(config.seed + number, -1, tokenizer.mask_tokens)
        rows = prepare(rows, draw, config.objective).to(device)
        with autocast(config.loop.precision, device):
            outputs = inner(rows)
        for objective, _ in terms:
            sums[objective.name] += size * float(
                objective.loss(outputs, rows, objective.totals(rows), config.objective)
            )
            if objective.judged:
                right = objective.judged(outputs, rows)
                judged[objective.name] += torch.tensor([right.sum(), len(right)], device=device)
        n_rows += size
        n_lost += size - len(loaded.keys)
    losses = {name: total / max(n_rows, 1) for name, total in sums.items()}
    counts = {name: sum_over_ranks(both).tolist() for name, both in judged.items()}
    return HeldOut(
        losses,
        sum(weight * losses[objective.name] for objective, weight in terms),
        n_rows * world_size(),
        int(sum_over_ranks(torch.tensor(n_lost, device=device))),
        {name: n_right / max(n, 1) for name, (n_right, n) in counts.items()},
    )
