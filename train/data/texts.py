"""Texts of an annotation file for the samples of a data set.

A name in such a file stands for a sample by its key (`<video_id>_00000`), by its clip's id (`<video_id>.0`), or by its
video's id if that video has only one sample.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from manifests.errors import UserError
from manifests.sample import clip_id
from train.annotations.captions import Query
from train.data.index import Index

MOST_NAMED = 5
"""Most missing videos that a message names."""

log = logging.getLogger("hdvila")


def samples_named(index: Index, names: Collection[str]) -> dict[str, int]:
    """{name: number of its sample} for those of the names that the index has."""
    by_name: dict[str, int] = {}
    of_video: dict[str, list[int]] = {}
    for number, key in enumerate(index.keys.to_pylist()):
        video, _, n = key.rpartition("_")
        of_video.setdefault(video, []).append(number)
        by_name |= {name: number for name in (key, clip_id(video, int(n))) if name in names}
    alone = {video: samples[0] for video, samples in of_video.items() if video in names and len(samples) == 1}
    return {**alone, **by_name}


def with_texts(index: Index, queries: Sequence[Query], source: str) -> Index:
    """The samples that the queries name, each with all its texts, in the index's order.

    Says how many of the videos are missing; UserError if all are. `source` names the annotation file in messages.
    """
    of_name: dict[str, list[str]] = {}
    for query in queries:
        of_name.setdefault(query.video, []).append(query.text)
    found = samples_named(index, of_name.keys())
    if not found:
        raise UserError(
            f"{source}: names {len(of_name)} videos, and {index.manifest.root} has a sample of none of them (the first "
            f"is {next(iter(of_name))!r}, the data set's first {index.key(0)!r})"
        )
    _say_missing([name for name in of_name if name not in found], len(of_name), source, index)
    texts: dict[int, list[str]] = {}
    for name, sample in found.items():
        texts.setdefault(sample, []).extend(of_name[name])
    return _only(index, {sample: tuple(texts[sample]) for sample in sorted(texts)})


def _only(index: Index, texts: Mapping[int, tuple[str, ...]]) -> Index:
    columns = index.columns.take(np.fromiter(texts, np.int64, len(texts)))
    return replace(index, columns=columns, texts=tuple(texts.values()))


def _say_missing(missing: Sequence[str], n_videos: int, source: str, index: Index) -> None:
    if missing:
        some = ", ".join(missing[:MOST_NAMED]) + (" …" if len(missing) > MOST_NAMED else "")
        log.warning("%s: %d of %d videos are not in %s: %s", source, len(missing), n_videos, index.manifest.root, some)
