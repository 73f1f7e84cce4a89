"""Retrieval benchmarks: videos of a folder or of shards against the queries of a caption file.

    hdvila-train eval RUN --videos DIR_OR_MANIFEST --captions FILE [--ground-truth id | caption] [--dsl]

In shards, a video is named by its sample's key (`<video_id>_00000`), by its clip's id (`<video_id>.0`), or by its
video's id if that video has only one sample. All splits are searched. A sample with an mp4 is decoded from that, frame
by frame as a file of the clip would be; one without, from its stills and proxy.

`ground_truth: id` is the diagonal: a query's only right answer is the video that it was written for, even if another
video has the same caption. `caption` also accepts other videos with the same caption. Videos that are missing or
can't be decoded are listed; the scores cover the rest, and say how many those are.

DSL (dual softmax, Cheng et al. 2021) weights a query's similarity to a video by how much that video prefers it among
*all* queries of the test set. Since it uses the other queries, it is off by default and reported with the scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor

from manifests.errors import UserError
from manifests.sample import clip_id
from manifests.shards import MANIFEST_NAME, read_manifest
from train.annotations.captions import Query, find_videos
from train.data.decode import SampleBroken, decode_sample
from train.data.index import Index, load_index
from train.data.read import Reader, ShardUnreadable
from train.data.registry import Source
from train.data.views import MEMBERS
from train.evaluation.encoder import Encoder, Inputs
from train.evaluation.evaluate import Retrieval, ranks, recall_of

GroundTruth = Literal["id", "caption"]
T = TypeVar("T")


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
        for what, names in (("not there", self.missing), ("unreadable", self.unreadable)):
            if names:
                more = f"\n    … and {len(names) - 10} more" if len(names) > 10 else ""
                shown = "\n    ".join(names[:10])
                lines.append(f"  {len(names)} videos {what} and left out:\n    {shown}{more}")
        return "\n".join(lines)


def run_benchmark(
    encoder: Encoder, queries: Sequence[Query], source: str | Path, options: BenchmarkOptions
) -> BenchmarkScores:
    """Embeds the videos of a folder or data set and scores them. UserError if none of the queries' can be read."""
    _apply_options(encoder, options)
    wanted = list(dict.fromkeys(query.video for query in queries))
    videos = open_videos(str(source), wanted)
    missing = videos.missing(wanted)
    names, rows, unreadable = [], [], []
    for batch in _batches(sorted(set(wanted) - set(missing)), options.batch):
        seen: list[tuple[str, Inputs]] = []
        for name in batch:
            try:
                seen.append((name, videos.input_of(encoder, name)))
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
    scores = score_queries(torch.cat(rows), names, text, kept, options, temperature=encoder.temperature)
    return BenchmarkScores(
        replace(scores, n_lost=len(missing) + len(unreadable)),
        len(kept),
        tuple(missing),
        tuple(unreadable),
        options.dsl,
    )


def _apply_options(encoder: Encoder, options: BenchmarkOptions) -> None:
    views = encoder.views
    changes = {name: value for name in ("n_segments", "n_frames", "stride") if (value := getattr(options, name))}
    if changes.get("n_frames", 1) % 2 == 0:
        raise UserError(f"--frames {options.n_frames} must be odd: a centre frame with as many before as after")
    encoder.views = replace(views, **changes)
    encoder.fps = options.fps or encoder.fps


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    yield from (items[at : at + size] for at in range(0, len(items), size))


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
    return Retrieval(
        recall_of(ranks(similarity, right), right.sum(1), len(names)),
        recall_of(ranks(similarity.T, right.T), right.sum(0), len(queries)),
        n_clips=len(names),
        n_captions=len({query.text for query in queries}),
    )


def right_answers(names: Sequence[str], queries: Sequence[Query], ground_truth: GroundTruth) -> Tensor:
    """Which videos are right answers to which query: bool `[q, v]`."""
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
    """The similarities `[q, v]` times their softmax (at this temperature) over the queries, the rows."""
    return similarity * (similarity / temperature).softmax(dim=0)


Sample = tuple[Index, int]


class Videos(Protocol):
    """Finds videos by the names that caption files give them."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names for which there is no video."""

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The model's input for a video. UserError if it can't be read."""


class FolderVideos:
    """Files anywhere under a folder, named without their suffix."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._files, self._missing = find_videos(folder, names)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names without a file."""
        return [name for name in names if name not in self._files]

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The views of a file."""
        return encoder.views_of_clip(self._files[name])


class ShardVideos:
    """Samples of a data set, named as the module's docstring says."""

    def __init__(self, manifest_at: str, names: Iterable[str]) -> None:
        self._samples = _find_samples(manifest_at, set(names))
        self._readers = {id(index): Reader(index) for index, _ in self._samples.values()}

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names without a sample."""
        return [name for name in names if name not in self._samples]

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The views of a sample."""
        index, sample = self._samples[name]
        source: Source = "whole" if "mp4" in index.members(sample) else "prepared"
        views = replace(encoder.views, fps=encoder.fps)
        try:
            members = self._readers[id(index)].read(sample, MEMBERS[source])
            clip = decode_sample(members, source, views, None)
        except (ShardUnreadable, SampleBroken) as error:
            raise UserError(f"{index.manifest.root}: {index.key(sample)} {error}") from None
        pictures = (clip.img_middle, clip.img_other)
        middle, around = (None if array is None else torch.from_numpy(array) for array in pictures)
        return middle, around


def open_videos(source: str, names: Iterable[str]) -> Videos:
    """Opens `source` as a data set if it is or contains a manifest, else as a folder of files."""
    wanted = list(names)
    if source.endswith(".json") or "://" in source or (Path(source) / MANIFEST_NAME).is_file():
        return ShardVideos(source, wanted)
    return FolderVideos(Path(source), wanted)


def _find_samples(manifest_at: str, wanted: set[str]) -> dict[str, Sample]:
    """{name: sample} for the names that the data set has."""
    manifest = read_manifest(manifest_at)
    by_name: dict[str, Sample] = {}
    of_video: dict[str, list[Sample]] = {}
    for split in dict.fromkeys(shard.split for shard in manifest.shards):
        index = load_index(manifest, split)
        for number, key in enumerate(index.keys.to_pylist()):
            video, _, n = key.rpartition("_")
            of_video.setdefault(video, []).append((index, number))
            for name in (key, clip_id(video, int(n))):
                if name in wanted:
                    by_name[name] = (index, number)
    alone = {video: samples[0] for video, samples in of_video.items() if video in wanted and len(samples) == 1}
    return {**alone, **by_name}
