"""Texts of an annotation file for the samples of a data set.

A name in such a file stands for a sample by its key (`<video_id>_00000`), by its clip's id (`<video_id>.0`), or by its
video's id if that video has only one sample.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from manifests.errors import UserError
from manifests.sample import clip_id
from train.annotations.captions import Query
from train.annotations.questions import Questions
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
    found = _found(index, of_name, source)
    texts: dict[int, list[str]] = {}
    for name, sample in found.items():
        texts.setdefault(sample, []).extend(of_name[name])
    return _only(index, sorted(texts), tuple(tuple(texts[sample]) for sample in sorted(texts)))


def with_questions(index: Index, questions: Questions, classes: Sequence[str], source: str) -> Index:
    """The questions as samples, each with its video's members and the texts that are read with it, by video.

    A question whose answer is none of `classes` (where they are given) teaches nothing and is left out, as are those
    without an answer and without a video: it is said how many. UserError if none is left.
    """
    number_of = {answer: number for number, answer in enumerate(classes)}
    found = _found(index, dict.fromkeys(question.video for question in questions.all), source)
    kept: list[tuple[int, tuple[str, ...], int]] = []
    n_unknown = 0
    for question in questions.all:
        if question.video not in found:
            continue
        answer = question.answer
        if isinstance(answer, str):
            answer = number_of.get(answer)
        if answer is None:
            n_unknown += 1
        else:
            kept.append((found[question.video], question.readings, answer))
    if len({len(texts) for _, texts, _ in kept}) > 1:
        raise UserError(f"{source}: its questions offer different numbers of texts to choose from")
    if not kept:
        raise UserError(f"{source}: none of its {len(questions.all)} questions has an answer to learn")
    if n_unknown:
        log.warning("%s: %d of %d questions have no answer to learn", source, n_unknown, len(questions.all))
    kept.sort(key=lambda one: one[0])
    asked = _only(index, [sample for sample, _, _ in kept], tuple(texts for _, texts, _ in kept))
    return replace(asked, answers=tuple(answer for _, _, answer in kept))


def _found(index: Index, names: Collection[str], source: str) -> dict[str, int]:
    """{name: its sample}. Says how many of the videos are missing; UserError if all are."""
    found = samples_named(index, names)
    if not found:
        raise UserError(
            f"{source}: names {len(names)} videos, and {index.manifest.root} has a sample of none of them (the first "
            f"is {next(iter(names))!r}, the data set's first {index.key(0)!r})"
        )
    _say_missing([name for name in names if name not in found], len(names), source, index)
    return found


def _only(index: Index, samples: Sequence[int], texts: tuple[tuple[str, ...], ...]) -> Index:
    numbers = np.array(samples, np.int64)
    weight = None if index.weight is None else index.weight[numbers]
    return replace(index, columns=index.columns.take(numbers), texts=texts, weight=weight)


def _say_missing(missing: Sequence[str], n_videos: int, source: str, index: Index) -> None:
    if missing:
        some = ", ".join(missing[:MOST_NAMED]) + (" …" if len(missing) > MOST_NAMED else "")
        log.warning("%s: %d of %d videos are not in %s: %s", source, len(missing), n_videos, index.manifest.root, some)
