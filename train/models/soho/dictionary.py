"""SOHO's visual dictionary: each cell of a picture takes the nearest of K entries; entries move towards their cells.

The statistics are moving counts N and sums E of the features that chose an entry, over all ranks; an entry is E / N.
There are two update rules:

    published   statistics start at zero and are updated in the forward pass: the index comes from the old dictionary,
                the vector from the new. With a start at zero, the first step turns every unused entry into zeros.
    ours        N starts at 1 and E at the entry. A forward pass reads the old dictionary and collects statistics;
                `commit`, after the optimiser's step, applies what all micro-batches of all ranks collected. Entries
                whose N falls below the floor are re-seeded from the cells farthest from all entries and each other.

Distances and sums are computed in fp32 or wider, with autocast off.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.distributed import sum_over_ranks, world_size

SMOOTHING = 1e-5
ROWS_AT_ONCE = 16_384
"""Cells whose distances to all entries are in memory at once: 134 MB with 2,048 entries."""

MAX_RESEEDED_SHARE = 1 / 16
"""Largest share of entries that a step re-seeds, so that the dictionary doesn't change abruptly for its readers."""

CANDIDATES_PER_SEED = 2


class Dictionary(nn.Module):
    """K entries of size D under the key `embed`, with their statistics. None of them gets a gradient."""

    embed: Tensor  # [K, D]
    embed_avg: Tensor  # [K, D], E
    cluster_size: Tensor  # [K], N
    cluster_sum: Tensor  # [K], how often each entry was chosen in total
    collected_counts: Tensor
    collected_sums: Tensor
    candidates: Tensor
    candidate_errors: Tensor

    def __init__(self, n_entries: int, width: int, *, decay: float, floor: float, published: bool) -> None:
        super().__init__()
        self.decay, self.floor, self.published = decay, floor, published
        self.n_reseeded = 0
        """Number of entries that the last commit re-seeded."""
        entries = torch.randn(n_entries, width)
        self.register_buffer("embed", entries)
        self.register_buffer("embed_avg", torch.zeros_like(entries) if published else entries.clone())
        self.register_buffer("cluster_size", (torch.zeros if published else torch.ones)(n_entries))
        self.register_buffer("cluster_sum", torch.zeros(n_entries))
        self.max_seeds = max(1, int(n_entries * MAX_RESEEDED_SHARE))
        n_candidates = CANDIDATES_PER_SEED * self.max_seeds
        self.register_buffer("collected_counts", torch.zeros(n_entries), persistent=False)
        self.register_buffer("collected_sums", torch.zeros(n_entries, width), persistent=False)
        self.register_buffer("candidates", torch.zeros(n_candidates, width), persistent=False)
        self.register_buffer("candidate_errors", torch.full((n_candidates,), -1.0), persistent=False)

    def forward(self, features: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """features [n, D] -> (entries [n, D] with the features' gradient, indices [n]).

        `counted` [n] bool selects the cells for the statistics (the published rule takes all). In training, the
        published rule updates at once; ours collects only if gradients are enabled (a pass without them is repeated).
        """
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            wide = features.detach().to(self.embed.dtype)
            indices, errors = self.nearest(wide)
        if self.training and self.published:
            self.update(wide, indices)
        elif self.training and torch.is_grad_enabled():
            keep = slice(None) if counted is None else counted
            self._collect(wide[keep], indices[keep], errors[keep])
        chosen = self.embed[indices].to(features.dtype)
        return features + (chosen - features).detach(), indices

    @torch.no_grad()
    def nearest(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(index [n] of the nearest entry, the first if equal; squared distance [n] to it)."""
        lengths = self.embed.square().sum(1)
        indices, errors = [], []
        for rows in features.split(ROWS_AT_ONCE):
            distances = rows.square().sum(1, keepdim=True) + lengths - 2 * rows @ self.embed.T
            best = distances.argmin(1)
            indices.append(best)
            errors.append(distances.gather(1, best[:, None])[:, 0])
        if not indices:
            return features.new_zeros(0, dtype=torch.long), features.new_zeros(0)
        return torch.cat(indices), torch.cat(errors)

    @torch.no_grad()
    def update(self, features: Tensor, indices: Tensor | None = None) -> None:
        """Takes a step of the dictionary with features [n, D] of this rank, and those of all others."""
        nearest, errors = self.nearest(features)
        indices = nearest if indices is None else indices
        if not self.published:
            self._collect(features, indices, errors)
            self.commit()
            return
        counts, sums = self._tally(features, indices)
        self._step(sum_over_ranks(counts), sum_over_ranks(sums))

    @torch.no_grad()
    def commit(self) -> None:
        """Applies what was collected since the last call, over all ranks. All ranks call it together."""
        counts, sums = sum_over_ranks(self.collected_counts), sum_over_ranks(self.collected_sums)
        if float(counts.sum()):
            self._step(counts, sums)
            self._reseed()
        self.collected_counts.zero_()
        self.collected_sums.zero_()
        self.candidate_errors.fill_(-1.0)

    def usage(self) -> dict[str, float]:
        """Entries in use, perplexity of their use (K if all are used equally), entries that the last step re-seeded."""
        shares = self.cluster_size / self.cluster_size.sum().clamp(min=SMOOTHING)
        perplexity = torch.exp(-(shares * shares.clamp(min=1e-12).log()).sum())
        live = int((self.cluster_size > max(self.floor, SMOOTHING)).sum())
        return {"live_entries": float(live), "perplexity": float(perplexity), "reseeded": float(self.n_reseeded)}

    def _tally(self, features: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.bincount(indices, minlength=len(self.embed)).to(self.embed.dtype)
        sums = torch.zeros_like(self.embed).index_add_(0, indices, features)
        return counts, sums

    def _collect(self, features: Tensor, indices: Tensor, errors: Tensor) -> None:
        counts, sums = self._tally(features, indices)
        self.collected_counts += counts
        self.collected_sums += sums
        self._keep_farthest(features, errors)

    def _keep_farthest(self, features: Tensor, errors: Tensor) -> None:
        """Keeps the cells farthest from their entries; the result doesn't depend on how the batch is split."""
        all_errors = torch.cat([self.candidate_errors, errors.to(self.candidate_errors.dtype)])
        best = all_errors.topk(len(self.candidate_errors)).indices
        self.candidates.copy_(torch.cat([self.candidates, features])[best])
        self.candidate_errors.copy_(all_errors[best])

    def _step(self, counts: Tensor, sums: Tensor) -> None:
        self.cluster_sum += counts
        self.cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.embed_avg.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + SMOOTHING) / (total + len(self.embed) * SMOOTHING) * total
        self.embed.copy_(self.embed_avg / smoothed[:, None])

    def _reseed(self) -> None:
        dead = (self.cluster_size < self.floor).nonzero()[:, 0]
        seeds = self._seeds(min(len(dead), self.max_seeds))
        dead = dead[: len(seeds)]
        self.embed[dead] = seeds
        self.embed_avg[dead] = seeds
        self.cluster_size[dead] = 1.0
        self.n_reseeded = len(dead)

    def _seeds(self, n_wanted: int) -> Tensor:
        """Picks at most n cells of this step [n, D]: the farthest from its entry, then the farthest from those too."""
        features, errors = _over_ranks(self.candidates), _over_ranks(self.candidate_errors)
        order = errors.argsort(descending=True)[: len(self.candidates)]
        features, errors = features[order], errors[order].clone()
        taken: list[int] = []
        for _ in range(n_wanted):
            best = int(errors.argmax())
            if errors[best] <= 0:
                break
            taken.append(best)
            errors = torch.minimum(errors, (features - features[best]).square().sum(1))
        return features[taken]


def _over_ranks(rows: Tensor) -> Tensor:
    """The rows of all ranks, in rank order."""
    if world_size() == 1:
        return rows
    gathered = rows.new_empty(world_size() * len(rows), *rows.shape[1:])
    dist.all_gather_into_tensor(gathered, rows.contiguous())
    return gathered
