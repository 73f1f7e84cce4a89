"""What scores say: retrieval with ranks and chance, and losses.

Retrieval: R@1 with its 95 % interval, R@5, R@10, median and mean rank, in both directions, beside chance.

**Rank and ties.** A query's candidates are all clips (text to video) or all captions (video to text). Its right answers
are those with the same caption, so two clips with the same caption are right answers for each other. The rank is 1
plus the number of *wrong* candidates that are at least as similar as the best right candidate: a tie counts against the
model, so that constant embeddings get the worst score and not the best. A NaN similarity ties with everything.

**Chance** is the expected score of a random order of the candidates, with the same right answers.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import comb, sqrt

import torch
from torch import Tensor

KS = (1, 5, 10)
Z95 = 1.959964
"""The z value of a two-sided 95 % interval of the normal distribution."""
CHUNK = 1024


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Losses of objectives that need no towers on held-out rows: for each, the mean over rows."""

    losses: dict[str, float]
    total: float
    """The weighted sum that the run minimises."""
    n_clips: int
    n_lost: int = 0
    accuracies: dict[str, float] = field(default_factory=dict)
    """Shares of masked words and of pairs that are judged right, by objective."""

    def flat(self) -> dict[str, float]:
        """{"val_loss": …, "val_loss_mlm": …} for logs."""
        terms = {f"val_loss_{name}": round(value, 6) for name, value in self.losses.items()}
        terms |= {f"val_accuracy_{name}": round(value, 6) for name, value in self.accuracies.items()}
        return {"val_loss": round(self.total, 6), **terms, "n_clips": self.n_clips, "n_lost": self.n_lost}

    def describe(self) -> str:
        """The losses as one line of text."""
        right = {name: f", {share:.1%} right" for name, share in self.accuracies.items()}
        terms = "; ".join(f"{name} {value:.4f}{right.get(name, '')}" for name, value in self.losses.items())
        lost = f", {self.n_lost} could not be read" if self.n_lost else ""
        return f"loss on {self.n_clips} held-out clips: {self.total:.4f} ({terms}){lost}"


@dataclass(frozen=True, slots=True)
class Recall:
    """One direction's scores. Recalls are shares of 0..1."""

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_rank: float
    chance_r1: float
    chance_r5: float
    chance_r10: float
    r1_from: float
    """The 95 % interval of r1, in which queries of the same video count for as much as they differ."""
    r1_to: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Retrieval scores of a model on a set of clips."""

    text_to_video: Recall
    video_to_text: Recall
    n_clips: int
    n_captions: int
    """Distinct captions among them."""
    n_lost: int = 0
    """Clips of the split that could not be read and are left out."""
    held_out: HeldOut | None = None
    """Losses of the objectives beside the contrastive one, if the run has any (HD-VILA's stage 2)."""

    def flat(self) -> dict[str, float]:
        """{"t2v_r1": …, "v2t_r1": …, …} for logs."""
        both = {"t2v": self.text_to_video, "v2t": self.video_to_text}
        scores = {
            f"{way}_{name}": round(value, 6) for way, recall in both.items() for name, value in asdict(recall).items()
        }
        losses = self.held_out.flat() if self.held_out else {}
        return {**losses, **scores, "n_clips": self.n_clips, "n_captions": self.n_captions, "n_lost": self.n_lost}

    def describe(self) -> str:
        """The scores as lines of text."""
        lines = [f"retrieval among {self.n_clips} clips with {self.n_captions} captions"]
        for name, r in (("text to video", self.text_to_video), ("video to text", self.video_to_text)):
            lines.append(
                f"  {name}: R@1 {r.r1:.1%} (95 %: {r.r1_from:.1%} to {r.r1_to:.1%}; chance {r.chance_r1:.1%})  "
                f"R@5 {r.r5:.1%} ({r.chance_r5:.1%})  "
                f"R@10 {r.r10:.1%} ({r.chance_r10:.1%})  median rank {r.median_rank:g}"
            )
        if self.n_lost:
            lines.append(f"  {self.n_lost} clips could not be read and are left out")
        return "\n".join([*lines, *([self.held_out.describe()] if self.held_out else [])])


Scores = Retrieval | HeldOut


def ranks(similarity: Tensor, right: Tensor) -> Tensor:
    """The rank (from 1) of each query's best right candidate: int64 `[q]`.

    `similarity [q, c]`, `right [q, c]` bool. Ties count as the module's docstring says.
    """
    best = similarity.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
    # "not less" rather than "at least": a NaN on either side then counts against the query.
    beaten = ~(similarity < best) & ~right
    return beaten.sum(1) + 1


def score_retrieval(video: Tensor, text: Tensor, captions: Sequence[str], n_lost: int = 0) -> Retrieval:
    """The scores of paired embeddings `[n, d]`; pair i has `captions[i]`."""
    ids = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    group = torch.tensor([ids[caption] for caption in captions])
    video, text = video.float().cpu(), text.float().cpu()
    return Retrieval(
        recall_of(_all_ranks(text, video, group), torch.bincount(group)[group], len(group)),
        recall_of(_all_ranks(video, text, group), torch.bincount(group)[group], len(group)),
        n_clips=len(captions),
        n_captions=len(ids),
        n_lost=n_lost,
    )


def _all_ranks(queries: Tensor, candidates: Tensor, group: Tensor) -> Tensor:
    """The ranks of all queries, computed in chunks so that memory is `CHUNK * n`."""
    parts = [
        ranks(queries[at : at + CHUNK] @ candidates.T, group[at : at + CHUNK, None] == group[None])
        for at in range(0, len(queries), CHUNK)
    ]
    return torch.cat(parts)


def recall_of(best_rank: Tensor, n_right: Tensor, n_candidates: int, sources: Tensor | None = None) -> Recall:
    """The scores of queries whose best right candidate has rank `best_rank [q]`, out of `n_right [q]` right.

    `sources [q]` numbers the video that each query was written for, where several are of the same one.
    """
    at = [float((best_rank <= k).double().mean()) for k in KS]
    hits = (best_rank <= 1).double()
    chance = [chance_recall(n_candidates, n_right.tolist(), k) for k in KS]
    middle, mean = float(best_rank.double().quantile(0.5)), float(best_rank.double().mean())
    low, high = wilson_interval(at[0], independent(hits, sources))
    return Recall(at[0], at[1], at[2], middle, mean, chance[0], chance[1], chance[2], low, high)


def independent(hits: Tensor, sources: Tensor | None = None) -> float:
    """To how many independent queries `hits [q]` amount, where queries of the same source succeed or fail together.

    The variance of a mean over sources, as for samples drawn in clusters, set equal to that of n single draws.
    """
    if sources is None:
        return len(hits)
    share = hits.mean()
    by_source = torch.zeros(int(sources.max()) + 1, dtype=torch.float64).index_add(0, sources, hits - share)
    spread = float(by_source.square().sum())
    if share in (0, 1):
        return len(sources.unique())
    return float(share * (1 - share)) * len(hits) ** 2 / max(spread, float(share * (1 - share)) * len(hits))


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """The 95 % confidence interval of a share observed in n independent trials (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    middle = share + Z95**2 / (2 * n)
    reach = Z95 * sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    whole = 1 + Z95**2 / n
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)


def chance_recall(n: int, n_right: Sequence[int], k: int) -> float:
    """Expected R@k of a random order of n candidates, averaged over queries with `n_right` right answers each.

    Ranks don't count other right answers, so a query succeeds if fewer than k wrong candidates come before the first
    right: with probability 1 - C(n-r, k) / C(n, k).
    """
    counts = {r: n_right.count(r) for r in set(n_right)}
    total = sum(c * (1 - comb(n - r, k) / comb(n, k) if k <= n else c) for r, c in counts.items())
    return min(1.0, total / max(len(n_right), 1))
