"""Retrieval as the field measures it: videos of a folder or of shards against the queries of a caption file.

    hdvila-train eval RUN --videos DIR_OR_MANIFEST --captions FILE [--ground-truth id | caption] [--dsl]

`ground_truth: id` is the diagonal: a query's one right answer is the video that it was written for, even where another
video has the same words. `caption` also counts other videos with the same words. Videos that are not there, or
can't be decoded, are listed; scores are over the rest, and say over how many.

DSL (dual softmax, Cheng et al. 2021) weighs a query's similarity to a video with how much that video prefers it among
*all* queries of the test set: it uses the other queries, so it is done only where it is asked for, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from manifests.errors import UserError
from train.benchmark_videos import open_videos
from train.caption_files import Query
from train.evaluate import Retrieval, ranks, recall_of
from train.inference import Encoder, Inputs

GroundTruth = Literal["id", "caption"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """How a benchmark is run. Zeros: as the model was trained."""

    ground_truth: GroundTruth = "id"
    dsl: bool = False
    n_segments: int = 0
    n_frames: int = 0
    stride: int = 0
    fps: float = 0.0
    """Videos are read at this rate, frames a second."""
    batch: int = 8


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """Scores, and what they leave out."""

    retrieval: Retrieval
    n_queries: int
    missing: tuple[str, ...]
    """Videos that the captions name and that are not there."""
    unreadable: tuple[str, ...]
    """Messages of videos that can't be decoded."""
    dsl: bool

    def flat(self) -> dict[str, float]:
        """For logs and --json."""
        left_out = {"n_missing": len(self.missing), "n_unreadable": len(self.unreadable), "dsl": int(self.dsl)}
        return {**self.retrieval.flat(), "n_queries": self.n_queries, **left_out}

    def describe(self) -> str:
        """For people: what is left out by name, up to ten of each."""
        lines = [self.retrieval.describe(), f"  {self.n_queries} queries{', dual softmax over them' * self.dsl}"]
        for what, names in (("not there", self.missing), ("unreadable", self.unreadable)):
            if names:
                more = f"\n    … and {len(names) - 10} more" if len(names) > 10 else ""
                shown = "\n    ".join(names[:10])
                lines.append(f"  {len(names)} videos {what} and left out:\n    {shown}{more}")
        return "\n".join(lines)


def run_benchmark(encoder: Encoder, queries: Sequence[Query], source: str | Path, asked: Asked) -> BenchmarkScores:
    """Embed the videos of a folder or data set and score them. UserError where none of the queries' can be read."""
    _look_as_asked(encoder, asked)
    wanted = list(dict.fromkeys(query.video for query in queries))
    videos = open_videos(str(source), wanted)
    missing = videos.missing(wanted)
    names, rows, unreadable = [], [], []
    for batch in _batches(sorted(set(wanted) - set(missing)), asked.batch):
        seen: list[tuple[str, Inputs]] = []
        for name in batch:
            try:
                seen.append((name, videos.look(encoder, name)))
            except UserError as error:
                unreadable.append(str(error))
        if seen:
            rows.append(encoder.embed_views([views for _, views in seen]))
            names += [name for name, _ in seen]
    if not names:
        raise UserError(f"{source}: none of the {len(wanted)} videos that the captions name can be read")
    read = set(names)
    kept = [query for query in queries if query.video in read]
    text = torch.cat([encoder.embed_text([q.text for q in batch]) for batch in _batches(kept, 64)])
    scores = score_queries(torch.cat(rows), names, text, kept, asked, temperature=encoder.temperature)
    return BenchmarkScores(
        replace(scores, n_lost=len(missing) + len(unreadable)), len(kept), tuple(missing), tuple(unreadable), asked.dsl
    )


def _look_as_asked(encoder: Encoder, asked: Asked) -> None:
    views = encoder.views
    changes = {name: value for name in ("n_segments", "n_frames", "stride") if (value := getattr(asked, name))}
    if changes.get("n_frames", 1) % 2 == 0:
        raise UserError(f"--frames {asked.n_frames} must be odd: a centre frame with as many before as after")
    encoder.views = replace(views, **changes)
    encoder.fps = asked.fps or encoder.fps


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    yield from (items[at : at + size] for at in range(0, len(items), size))


def score_queries(
    video: Tensor, names: Sequence[str], text: Tensor, queries: Sequence[Query], asked: Asked, *, temperature: float
) -> Retrieval:
    """Scores of `video [v, D]` (named by `names`) and `text [q, D]`, both L2-normalised."""
    similarity = text.float() @ video.float().T  # [q, v]
    if asked.dsl:
        similarity = dual_softmax(similarity, temperature)
    right = right_answers(names, queries, asked.ground_truth)
    return Retrieval(
        recall_of(ranks(similarity, right), right.sum(1), len(names)),
        recall_of(ranks(similarity.T, right.T), right.sum(0), len(queries)),
        n_clips=len(names),
        n_captions=len({query.text for query in queries}),
    )


def right_answers(names: Sequence[str], queries: Sequence[Query], ground_truth: GroundTruth) -> Tensor:
    """Which videos are right for which query: bool `[q, v]`."""
    index_of = {name: i for i, name in enumerate(names)}
    right = torch.zeros(len(queries), len(names), dtype=torch.bool)
    right[torch.arange(len(queries)), torch.tensor([index_of[query.video] for query in queries])] = True
    if ground_truth == "caption":
        of_text: dict[str, set[int]] = {}
        for query in queries:
            of_text.setdefault(query.text, set()).add(index_of[query.video])
        for row, query in enumerate(queries):
            right[row, sorted(of_text[query.text])] = True
    return right


def dual_softmax(similarity: Tensor, temperature: float) -> Tensor:
    """`s` weighed with the softmax of `s / temperature` over the queries (rows of `[q, v]`)."""
    return similarity * (similarity / temperature).softmax(dim=0)
