"""Retrieval on held-out clips: R@1 with its 95 % interval, R@5, R@10, median and mean rank, both ways, beside chance.

**Rank and ties.** A query's candidates are all clips (text to video) or all captions (video to text). Its right answers
are those that share its caption, so that two clips with the same words are right for each other. The rank is one plus
the number of *wrong* candidates that are at least as similar as the best right one: a tie counts against the model,
so that constant embeddings get the worst score and not the best. A NaN similarity counts as a tie with everything.

**Chance** is what a random order of the candidates reaches on the average, with the same right answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import comb
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from manifests.errors import UserError
from train.attributes import AttributeScore, first_answers, score_attributes, wilson_interval
from train.config import TrainConfig
from train.data.decode import Source
from train.data.index import Index
from train.data.loader import ClipDataset, Loaded, read_once
from train.data.views import views_of
from train.distributed import Place, unwrap
from train.tokenizer import Tokenizer

Part = tuple[Tensor, Tensor, list[str], int]

KS = (1, 5, 10)
CHUNK = 1024


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


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Scores of a model on a set of clips."""

    text_to_video: Recall
    video_to_text: Recall
    n_clips: int
    n_captions: int
    """Distinct captions among them."""
    n_lost: int = 0
    """Clips of the split that could not be read; left out."""
    attributes: dict[str, AttributeScore] = field(default_factory=dict)
    """Text to video, by attribute of the captions (`eval.attributes`)."""

    def flat(self) -> dict[str, float]:
        """{"t2v_r1": …, "v2t_r1": …, …} for logs."""
        both = {"t2v": self.text_to_video, "v2t": self.video_to_text}
        scores = {
            f"{way}_{name}": round(value, 6) for way, recall in both.items() for name, value in asdict(recall).items()
        }
        for way, recall in both.items():
            low, high = wilson_interval(recall.r1, self.n_clips)
            scores |= {f"{way}_r1_from": round(low, 6), f"{way}_r1_to": round(high, 6)}
        for attribute, score in self.attributes.items():
            scores |= {f"{attribute}_{name}": round(value, 6) for name, value in asdict(score).items()}
        return {**scores, "n_clips": self.n_clips, "n_captions": self.n_captions, "n_lost": self.n_lost}

    def describe(self) -> str:
        """Some lines for people."""
        lines = [f"retrieval among {self.n_clips} clips with {self.n_captions} captions"]
        for name, r in (("text to video", self.text_to_video), ("video to text", self.video_to_text)):
            low, high = wilson_interval(r.r1, self.n_clips)
            lines.append(
                f"  {name}: R@1 {r.r1:.1%} (95 %: {low:.1%} to {high:.1%}; chance {r.chance_r1:.1%})  "
                f"R@5 {r.r5:.1%} ({r.chance_r5:.1%})  "
                f"R@10 {r.r10:.1%} ({r.chance_r10:.1%})  median rank {r.median_rank:g}"
            )
        for name, a in self.attributes.items():
            lines.append(
                f"  {name}: right in {a.right:.1%} of the first clips (chance {a.chance:.1%}); knowing it alone gives "
                f"R@1 {a.oracle_r1:.1%}, knowing all others {a.without_r1:.1%}"
            )
        if self.n_lost:
            lines.append(f"  {self.n_lost} clips could not be read and are left out")
        return "\n".join(lines)


def ranks(similarity: Tensor, right: Tensor) -> Tensor:
    """The rank (from 1) of each query's best right candidate: int64 `[q]`.

    `similarity [q, c]`, `right [q, c]` bool. The tie rule is the module's.
    """
    best = similarity.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
    # "not less" and not "at least": a NaN on either side then counts against the query.
    beaten = ~(similarity < best) & ~right
    return beaten.sum(1) + 1


def score_retrieval(
    video: Tensor,
    text: Tensor,
    captions: Sequence[str],
    n_lost: int = 0,
    attributes: Mapping[str, str] | None = None,
) -> Retrieval:
    """Scores of paired embeddings `[n, d]`; `captions[i]` is the caption of pair i. `attributes`: see `EvalConfig`."""
    ids = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    group = torch.tensor([ids[caption] for caption in captions])
    video, text = video.float().cpu(), text.float().cpu()
    return Retrieval(
        recall_of(_all_ranks(text, video, group), torch.bincount(group)[group], len(group)),
        recall_of(_all_ranks(video, text, group), torch.bincount(group)[group], len(group)),
        n_clips=len(captions),
        n_captions=len(ids),
        n_lost=n_lost,
        attributes=score_attributes(first_answers(text, video), captions, attributes or {}),
    )


def _all_ranks(queries: Tensor, candidates: Tensor, group: Tensor) -> Tensor:
    """Ranks of every query, a chunk at a time: memory is `CHUNK * n`."""
    parts = [
        ranks(queries[at : at + CHUNK] @ candidates.T, group[at : at + CHUNK, None] == group[None])
        for at in range(0, len(queries), CHUNK)
    ]
    return torch.cat(parts)


def recall_of(found: Tensor, n_right: Tensor, n_candidates: int) -> Recall:
    """Scores of queries whose best right candidate stands at rank `found [q]`; each has `n_right [q]` of them."""
    at = [float((found <= k).double().mean()) for k in KS]
    chance = [chance_recall(n_candidates, n_right.tolist(), k) for k in KS]
    return Recall(at[0], at[1], at[2], float(found.double().quantile(0.5)), float(found.double().mean()), *chance)


def chance_recall(n: int, n_right: Sequence[int], k: int) -> float:
    """R@k of a random order of n candidates, averaged over queries with so many right answers each.

    Ranks skip other right answers, so the question is whether fewer than k wrong ones come before the first right one:
    1 - C(n-r, k) / C(n, k).
    """
    counts = {r: n_right.count(r) for r in set(n_right)}
    total = sum(c * (1 - comb(n - r, k) / comb(n, k) if k <= n else c) for r, c in counts.items())
    return min(1.0, total / max(len(n_right), 1))


def evaluate(
    model: nn.Module, index: Index, tokenizer: Tokenizer, config: TrainConfig, place: Place, source: Source
) -> Retrieval:
    """Scores of a model on an index's clips (the first `eval.max_clips` of them). All ranks call it and get the same.

    Views are the deterministic ones: middles of equal parts and the centre crop.
    """
    n_clips = min(config.eval.max_clips or len(index), len(index))
    d = config.data
    dataset = ClipDataset(
        index, views_of(config), source, seed=None, n_workers=d.workers, storage_options=d.storage_options
    )
    mine = range(place.rank, n_clips, place.world)
    # Under FSDP every rank has to run the model as often as the others: the short ones repeat their last clip.
    n_rounds = -(-n_clips // place.world)
    padded = [*mine, *[mine[-1] if mine else 0] * (n_rounds - len(mine))]
    was_training = model.training
    model.eval()
    chunks = read_once(dataset, padded, d.workers, config.eval.batch)
    video, text, captions, places = _embed(model, chunks, config, tokenizer)
    model.train(was_training)
    own = sum(at < len(mine) for at in places)
    parts = _from_all_ranks((video[:own], text[:own], captions[:own], len(mine) - own), place)
    joined = [caption for part in parts for caption in part[2]]
    if not joined:
        raise UserError(f"{index.manifest.root}: none of the {n_clips} clips of the val split can be read")
    n_lost = sum(part[3] for part in parts)
    video, text = (torch.cat([p[k] for p in parts]) for k in (0, 1))  # type: ignore[misc]
    return score_retrieval(video, text, joined, n_lost, config.eval.attributes)


@torch.no_grad()
def _embed(
    model: nn.Module, chunks: Iterable[Loaded], config: TrainConfig, tokenizer: Tokenizer
) -> tuple[Tensor, Tensor, list[str], list[int]]:
    """`(video [n, d], text [n, d], captions, places)` of all that `chunks` gives, on the CPU."""
    inner = unwrap(model)
    device = next(model.parameters()).device
    video, text = [torch.zeros(0, config.model.width)], [torch.zeros(0, config.model.width)]
    captions: list[str] = []
    places: list[int] = []
    for loaded in chunks:
        ids, mask = tokenizer.encode(loaded.texts or [""], config.model.text_length)
        # Where nothing of this chunk could be read it runs on a blank all the same, which is dropped.
        middle, other = (_on(device, x, blank=not loaded.keys) for x in (loaded.img_middle, loaded.img_other))
        with autocast(config, device):
            pair = inner.embed(middle, other, ids.to(device), mask.to(device))
        video.append(pair[0][: len(loaded.keys)].float().cpu())
        text.append(pair[1][: len(loaded.keys)].float().cpu())
        captions += loaded.texts
        places += loaded.places
    return torch.cat(video), torch.cat(text), captions, places


def _on(device: torch.device, x: Tensor | None, *, blank: bool) -> Tensor | None:
    if x is None:
        return None
    return (torch.zeros(1, *x.shape[1:], dtype=x.dtype) if blank else x).to(device)


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """bf16 where the config asks for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.loop.precision == "bf16")


def _from_all_ranks(own: Part, place: Place) -> list[Part]:
    """Every rank's part, in rank order."""
    if place.world == 1:
        return [own]
    parts: list[Any] = [None] * place.world
    dist.all_gather_object(parts, own)
    return parts
