"""Finds sentences that a channel says in video after video, compared without case and marks.

In:  table `clips` (texts), `videos` (channels)   Out: {clip_id: the first clip, by video id, that says the same}

Each sentence is compared once, with those that came before it (`index.py`): it is filed by one hash of its words and
its channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import hash_texts, splitmix64
from manifests.rows import MatchRow
from manifests.sample import clip_id
from pipeline.likeness.bands import starts_of_runs
from pipeline.likeness.groups import groups_of
from pipeline.likeness.index import Filed, Item, Kind, Wanted, packed, unpacked
from pipeline.likeness.matches import SIDES, among, match_of
from pipeline.likeness.together import Nearness


@dataclass(frozen=True, slots=True)
class SaidAgain:
    """When a sentence counts as repeated by a channel."""

    min_repeats: int = 3
    """It is said in this many of the channel's videos."""
    min_sentence_words: int = 4
    """Sentences with fewer words may repeat."""


SAID_AGAIN = SaidAgain()

PREFIX_CHARS = 96
"""A sentence is compared by its length and this many of its first characters."""
COLUMNS = ("video_id", "n", "text")
SENTENCES = "sentences"
AT_A_TIME = 1 << 15
"""Videos whose sentences are compared together, about a million."""

ITEMS = pa.schema([("video_id", pa.string()), ("n", pa.large_binary()), ("said", pa.large_binary())])
"""By video: the numbers of its sentences (u4), and a hash of each and of the channel (u8)."""


def kind_of(rule: SaidAgain = SAID_AGAIN) -> Kind:
    """Sentences, each by the words of a clip."""
    return Kind(
        SENTENCES,
        "clips",
        COLUMNS,
        ("channel_id",),
        1,
        Nearness(0),
        partial(items_of, rule.min_sentence_words),
        _filed,
        _asked,
        _matches_of,
        AT_A_TIME,
        first_only=True,
    )


def items_of(min_words: int, clips: pa.Table) -> pa.Table:
    """The sentences of clips (with `channel_id`) that are long enough and of known channels; those of a video are
    together.
    """
    said = things_of(said_in(min_words, clips))
    ids = said.column("video_id").combine_chunks()
    first = starts_of_runs(ids.dictionary_encode().indices.to_numpy().astype(np.int64))
    n_each = np.diff(np.append(first, len(ids)))
    columns = [(said.column(name).to_numpy().astype(kind)) for name, kind in (("n", "<u4"), ("said", "<u8"))]
    return pa.table([ids.take(pa.array(first)), *(packed(column, n_each) for column in columns)], schema=ITEMS)


def _filed(items: pa.Table) -> Filed:
    said, n_each = unpacked(items.column("said"), "<u8")
    return Filed(np.ones(len(said), np.int64), said.astype(np.uint64, copy=False)[None, :], n_each)


def _asked(items: pa.Table) -> Wanted:
    said = unpacked(items.column("said"), "<u8")[0].astype(np.uint64, copy=False)
    return [[(np.arange(len(said)), said)]]


def _matches_of(pairs: Sequence[tuple[Item, Item]]) -> list[MatchRow]:
    return [match_of(SENTENCES, a, b, _number(a, i), _number(b, k)) for (a, i), (b, k) in pairs]


def _number(row: Mapping[str, Any], sentence: int) -> int:
    return int(np.frombuffer(row["n"], "<u4")[sentence])


def find_repeats(matches: pa.Table, videos: pa.Table, rule: SaidAgain = SAID_AGAIN) -> dict[str, str]:
    """Returns {clip_id: first clip, by video id, that says the same}, of sentences in `min_repeats` or more of these
    videos, given the matches of SENTENCES.
    """
    matches = among(matches, videos)
    sides = (
        zip(matches.column(f"{side}video_id").to_pylist(), matches.column(f"{side}n").to_pylist(), strict=True)
        for side in SIDES
    )
    found: dict[str, str] = {}
    for group in groups_of(zip(*sides, strict=True)):
        if len({video_id for video_id, _ in group}) >= rule.min_repeats:
            first, *others = (clip_id(video_id, n) for video_id, n in group)
            found.update(dict.fromkeys(others, first))
    return dict(sorted(found.items()))


def said_in(min_words: int, clips: pa.Table) -> pa.Table:
    """Columns video_id, n, channel_id, said: for the sentences that are long enough, a hash of their words."""
    said = pc.replace_substring_regex(pc.utf8_lower(clips.column("text")), r"[^\p{L}\p{N}]+", " ")
    said = pc.utf8_trim_whitespace(said)
    enough = pc.greater_equal(pc.count_substring(said, " "), min_words - 1)
    clips, said = clips.filter(enough), said.filter(enough)
    length = pc.utf8_length(said).to_numpy().astype(np.uint64)
    prefix = pc.utf8_slice_codeunits(said, 0, PREFIX_CHARS).combine_chunks()
    key = hash_texts(prefix, 1) ^ (length << np.uint64(32))
    kept = clips.select(["video_id", "n", "channel_id"])
    return kept.append_column("said", pa.array(key))


def things_of(rows: pa.Table) -> pa.Table:
    """From sentences with `channel_id`, those of known channels: video_id, n, and `said` hashed with the channel."""
    known = rows.filter(pc.not_equal(rows.column("channel_id"), ""))
    channel = hash_texts(known.column("channel_id").combine_chunks().cast(pa.string()), 2)
    said = splitmix64(known.column("said").to_numpy() ^ channel)
    return known.select(["video_id", "n"]).append_column("said", pa.array(said))
