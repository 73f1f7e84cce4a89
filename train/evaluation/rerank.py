"""Retrieval in two stages: two towers find k candidates per query, then the multimodal Transformer reranks only those.

For models with towers and a matching head (HD-VILA stage 2 with `model.itm`). n held-out pairs take n passes of each
tower and, in each direction, n·k of the multimodal layers. Candidates are ranked by matching score; the rest follow in
the towers' order. Models without towers match every pair: train.evaluation.matching.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.evaluation.matching import MAX_PAIRS, PAIRS_AT_ONCE, HeldOutPairs
from train.evaluation.scores import KS, chance_recall, ranks
from train.models.wrapping import autocast, unwrap

ScorePairs = Callable[[Tensor, Tensor], Tensor]
"""(indexes of queries [m], indexes of candidates [m]) -> their matching scores [m]."""


@dataclass(frozen=True, slots=True)
class TwoStages:
    """Recalls (shares of 0..1) by k of R@k, before and after reranking."""

    n_pairs: int
    n_candidates: int
    before: dict[str, dict[int, float]]
    """Recalls by direction: text to video, video to text."""
    after: dict[str, dict[int, float]]
    chance: dict[int, float]

    def flat(self) -> dict[str, float]:
        """The scores as a flat dict, for JSON."""
        scores: dict[str, float] = {"n_pairs": self.n_pairs, "n_candidates": self.n_candidates}
        for stage, recalls in (("towers", self.before), ("reranked", self.after)):
            for way, by_k in recalls.items():
                scores |= {f"{stage}_{way.replace(' ', '_')}_r{k}": value for k, value in by_k.items()}
        return scores | {f"chance_r{k}": value for k, value in self.chance.items()}

    def describe(self) -> str:
        """The scores as text, one line per direction."""
        lines = [f"retrieval among {self.n_pairs} pairs; the towers' first {self.n_candidates} are read again"]
        for way in self.before:
            scores = "  ".join(
                f"R@{k} {self.before[way][k]:.1%} -> {self.after[way][k]:.1%} (chance {self.chance[k]:.1%})" for k in KS
            )
            lines.append(f"  {way}: {scores}")
        return "\n".join(lines)


def rerank(similarity: Tensor, n_candidates: int, score: ScorePairs) -> Tensor:
    """Scores [q, c] that give the new order of candidates, from the towers' `similarity` [q, c].

    The first `n_candidates` of each query are ordered by `score` and come before all others.
    """
    n_queries, n_all = similarity.shape
    k = min(n_candidates, n_all)
    first = similarity.topk(k, dim=1).indices
    queries = torch.arange(n_queries)[:, None].expand(-1, k).flatten()
    pairs = zip(queries.split(PAIRS_AT_ONCE), first.flatten().split(PAIRS_AT_ONCE), strict=True)
    scores = torch.cat([score(q, c) for q, c in pairs]).double().view(n_queries, k)
    others = similarity.double()
    floor = others.amax() + 1
    ordered = others.clone()
    ordered.scatter_(1, first, floor + scores - scores.amin())
    return ordered


@torch.no_grad()
def score_two_stages(model: nn.Module, pairs: HeldOutPairs, n_candidates: int) -> TwoStages:
    """Recalls of both directions, before and after reranking. UserError for a model without towers or matching head."""
    inner: Any = unwrap(model)
    if inner.towers is None or not inner.can_match:
        raise UserError(
            f"model.kind {inner.config.kind}: --rerank needs two towers and a matching head (hd_vila, model.stage 2 "
            "with model.itm); models without towers have --matching"
        )
    inner.eval()
    device = next(model.parameters()).device
    kept: list[tuple[Tensor, ...]] = []
    captions: list[str] = []
    with autocast(pairs.config.loop.precision, device):
        for rows, words in pairs.chunks(MAX_PAIRS):
            rows = rows.to(device)
            outputs = inner(rows, only=inner.towers)
            towers = (getattr(outputs, name).float().cpu() for name in inner.towers)
            kept.append((*towers, *inner.visual_input(rows), rows.input_ids, rows.attention_mask))
            captions += words
        if len(captions) < 2:
            raise UserError("retrieval needs two held-out pairs; the val split has fewer that can be read")
        video, text, seen, seen_mask, ids, mask = (torch.cat(parts) for parts in zip(*kept, strict=True))

        def score(videos: Tensor, texts: Tensor) -> Tensor:
            logits = inner.match(seen[videos], seen_mask[videos], ids[texts], mask[texts]).float().cpu()
            return logits[:, 1] - logits[:, 0]

        ways = {"text to video": (text @ video.T, lambda q, c: score(c, q)), "video to text": (video @ text.T, score)}
        reranked = {way: rerank(similarity, n_candidates, pick) for way, (similarity, pick) in ways.items()}
    ordinals = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    group = torch.tensor([ordinals[caption] for caption in captions])
    right = group[:, None] == group[None]
    return TwoStages(
        len(captions),
        min(n_candidates, len(captions)),
        {way: _recalls(similarity, right) for way, (similarity, _) in ways.items()},
        {way: _recalls(scores, right) for way, scores in reranked.items()},
        {k: chance_recall(len(captions), right.sum(1).tolist(), k) for k in KS},
    )


def _recalls(similarity: Tensor, right: Tensor) -> dict[int, float]:
    best_rank = ranks(similarity, right)
    return {k: float((best_rank <= k).double().mean()) for k in KS}
