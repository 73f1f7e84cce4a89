"""Retrieval benchmarks: videos of a folder or of shards against the queries of a caption file.

    hdvila-train eval RUN --videos DIR_OR_MANIFEST --captions FILE [--ground-truth id | caption] [--dsl]

`ground_truth: id` is the diagonal: a query's only right answer is the video that it was written for, even if another
video has the same caption. `caption` also accepts other videos with the same caption. Videos that are missing or
can't be decoded are listed; the scores cover the rest, and say how many those are.

DSL (dual softmax, Cheng et al. 2021) weights a query's similarity to a video by how much that video prefers it among
*all* queries of the test set. Since it uses the other queries, it is off by default and reported with the scores.

Every rank decodes and embeds its share of the videos; all get the same scores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from manifests.errors import UserError
from train.annotations.captions import Query
from train.distributed import Process, gathered
from train.evaluation.encoder import Encoder, blank_inputs
from train.evaluation.scores import Retrieval, ranks, recall_of
from train.evaluation.videos import Videos, read_videos

TEXTS_AT_ONCE = 64
GroundTruth = Literal["id", "caption"]


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """Options of a benchmark. 0 means: as the model was trained."""

    ground_truth: GroundTruth = "id"
    dsl: bool = False
    n_segments: int = 0
    n_frames: int = 0
    stride: int = 0
    fps: float = 0.0
    """Rate at which videos are read, in frames per second."""
    batch: int = 8
    workers: int = 0
    """Processes of each rank that decode videos; 0: the rank itself."""


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """The scores of a benchmark, and the videos that they leave out."""

    retrieval: Retrieval
    n_queries: int
    missing: tuple[str, ...]
    """Videos that the captions name but that are missing."""
    unreadable: tuple[str, ...]
    """One error message for each video that can't be decoded."""
    dsl: bool

    def flat(self) -> dict[str, float]:
        """The scores and counts as a flat dict, for logs and --json."""
        left_out = {"n_missing": len(self.missing), "n_unreadable": len(self.unreadable), "dsl": int(self.dsl)}
        return {**self.retrieval.flat(), "n_queries": self.n_queries, **left_out}

    def describe(self) -> str:
        """The scores as text, with the names of left-out videos (up to ten of each kind)."""
        lines = [self.retrieval.describe(), f"  {self.n_queries} queries{', dual softmax over them' * self.dsl}"]
        return "\n".join([*lines, *left_out(self.missing, self.unreadable)])


def left_out(missing: Sequence[str], unreadable: Sequence[str]) -> Iterator[str]:
    """Lines that name the videos which scores leave out, up to ten of each kind."""
    for what, names in (("not there", missing), ("unreadable", unreadable)):
        if names:
            more = f"\n    … and {len(names) - 10} more" if len(names) > 10 else ""
            shown = "\n    ".join(names[:10])
            yield f"  {len(names)} videos {what} and left out:\n    {shown}{more}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The queries of a caption file and where their videos are."""

    queries: list[Query]
    videos: Videos


def run_benchmark(
    encoder: Encoder, benchmark: Benchmark, options: BenchmarkOptions, process: Process
) -> BenchmarkScores:
    """Embeds the videos that are there and scores the queries. UserError if none of the queries' can be read."""
    queries, videos = benchmark.queries, benchmark.videos
    read, unreadable = embed_videos(encoder, videos, options, process)
    if not read:
        n_wanted = len({query.video for query in queries})
        raise UserError(f"none of the {n_wanted} videos that the captions name can be read")
    kept = [query for query in queries if query.video in read]
    text = embed_texts(encoder, [query.text for query in kept])
    names = sorted(read)
    video = torch.stack([read[name] for name in names])
    scores = score_queries(video, names, text, kept, options, temperature=encoder.temperature)
    missing = sorted({query.video for query in queries} - set(videos.names))
    return BenchmarkScores(
        replace(scores, n_lost=len(missing) + len(unreadable)),
        len(kept),
        tuple(missing),
        tuple(unreadable),
        options.dsl,
    )


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> Tensor:
    """The embeddings of texts: [n, D]."""
    return torch.cat([encoder.embed_text(texts[at : at + TEXTS_AT_ONCE]) for at in range(0, len(texts), TEXTS_AT_ONCE)])


def embed_videos(
    encoder: Encoder, videos: Videos, options: BenchmarkOptions, process: Process
) -> tuple[dict[str, Tensor], list[str]]:
    """`({name: its embedding [D]}, one message for each video that can't be read)`, gathered from all ranks."""
    apply_options(encoder, options)
    names = videos.names
    own = names[process.rank :: process.world]
    # Under FSDP all ranks have to run the model equally often: ranks with fewer videos embed blank ones.
    n_rounds = ceil(len(names[:: process.world]) / options.batch)
    reads = read_videos(videos, own, encoder.views, encoder.fps, batch=options.batch, n_workers=options.workers)
    embedded: dict[str, Tensor] = {}
    problems: list[str] = []
    for _ in range(n_rounds):
        batch = next(reads, [])
        good = [read for read in batch if not read.problem]
        problems += [read.problem for read in batch if read.problem]
        rows = encoder.embed_views([read.inputs for read in good] or [blank_inputs(encoder.views)])
        embedded |= zip([read.name for read in good], rows, strict=False)
    parts = gathered((embedded, problems), process)
    return {name: row for part, _ in parts for name, row in part.items()}, [p for _, part in parts for p in part]


def apply_options(encoder: Encoder, options: BenchmarkOptions) -> None:
    """Changes the views that an encoder takes. UserError for an even number of frames."""
    views = encoder.views
    changes = {name: value for name in ("n_segments", "n_frames", "stride") if (value := getattr(options, name))}
    if changes.get("n_frames", 1) % 2 == 0:
        raise UserError(f"--frames {options.n_frames} must be odd: a centre frame with as many before as after")
    encoder.views = replace(views, **changes)
    encoder.fps = options.fps or encoder.fps


def score_queries(
    video: Tensor,
    names: Sequence[str],
    text: Tensor,
    queries: Sequence[Query],
    options: BenchmarkOptions,
    *,
    temperature: float,
) -> Retrieval:
    """The scores of L2-normalised embeddings: `video [v, D]`, in the order of `names`, and `text [q, D]`."""
    similarity = text.float() @ video.float().T  # [q, v]
    if options.dsl:
        similarity = dual_softmax(similarity, temperature)
    right = right_answers(names, queries, options.ground_truth)
    sources = _places(names, queries)
    return Retrieval(
        recall_of(ranks(similarity, right), right.sum(1), len(names), sources),
        recall_of(ranks(similarity.T, right.T), right.sum(0), len(queries)),
        n_clips=len(names),
        n_captions=len({query.text for query in queries}),
    )


def right_answers(names: Sequence[str], queries: Sequence[Query], ground_truth: GroundTruth) -> Tensor:
    """Which videos are right answers to which query: bool `[q, v]`."""
    places = _places(names, queries)
    right = torch.zeros(len(queries), len(names), dtype=torch.bool)
    right[torch.arange(len(queries)), places] = True
    if ground_truth == "caption":
        of_text: dict[str, set[int]] = {}
        for query, place in zip(queries, places.tolist(), strict=True):
            of_text.setdefault(query.text, set()).add(place)
        for row, query in enumerate(queries):
            right[row, sorted(of_text[query.text])] = True
    return right


def _places(names: Sequence[str], queries: Sequence[Query]) -> Tensor:
    """The place among `names` of each query's own video: int64 `[q]`."""
    place_of = {name: place for place, name in enumerate(names)}
    return torch.tensor([place_of[query.video] for query in queries])


def dual_softmax(similarity: Tensor, temperature: float) -> Tensor:
    """The similarities `[q, v]` times their softmax (at this temperature) over the queries, the rows."""
    return similarity * (similarity / temperature).softmax(dim=0)
