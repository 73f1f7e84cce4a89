"""Finds sentences that a channel says in video after video, compared without case and marks.

In:  table `clips` (texts), `videos` (channels)   Out: {clip_id: the first clip, by video id, that says the same}

Each sentence is compared once, with those that were added before it (`compared.py`): it is filed by one hash of its
words and its channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.hashing import hash_texts, splitmix64
from pipeline.engine.store.store import Store
from pipeline.likeness.compared import Compared, Source
from pipeline.likeness.files import Filed
from pipeline.likeness.groups import groups_of
from pipeline.likeness.index import Kind, Wanted
from pipeline.likeness.tasks import Spread, spread_here
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
AT_A_TIME = 1 << 20
"""Approximate number of sentences that are added together."""
FORMAT = 1
"""Raised when what is kept of sentences changes."""


class Sentences:
    """The sentences of a store; repeats do not depend on the order in which they came."""

    def __init__(self, store: Store, spread: Spread = spread_here, rule: SaidAgain = SAID_AGAIN) -> None:
        self._rule = rule
        source = Source(
            "clips", COLUMNS, ("channel_id",), things_of, AT_A_TIME, partial(said_in, rule.min_sentence_words), ("n",)
        )
        settings = f"{FORMAT} {rule.min_sentence_words}"
        self.compared = Compared(store, SENTENCES, KIND, source, settings, spread)

    def find_repeats(self, videos: pa.Table, every: pa.Table | None = None) -> dict[str, str]:
        """Returns {clip_id: first clip, by video id, that says the same}, of sentences in `min_repeats` or more videos.

        The videos are those of one channel. Columns: video_id; channel_id ("": never compared); and round, in whose
        order they are added. `every`: all known videos, including these.
        """
        pairs = self.compared.pairs(videos, every)
        sides = (
            zip(*(pairs.column(f"{side}.{name}").to_pylist() for name in NAMES.names), strict=True) for side in "ab"
        )
        found: dict[str, str] = {}
        for group in groups_of(zip(*sides, strict=True)):
            if len({video_id for video_id, _ in group}) >= self._rule.min_repeats:
                first, *others = (f"{video_id}.{n}" for video_id, n in group)
                found.update(dict.fromkeys(others, first))
        return dict(sorted(found.items()))


def said_in(min_words: int, clips: pa.Table) -> pa.Table:
    """Columns video_id, n, said: for the sentences that are long enough, a hash of their words."""
    said = pc.replace_substring_regex(pc.utf8_lower(clips.column("text")), r"[^\p{L}\p{N}]+", " ")
    said = pc.utf8_trim_whitespace(said)
    enough = pc.greater_equal(pc.count_substring(said, " "), min_words - 1)
    clips, said = clips.filter(enough), said.filter(enough)
    length = pc.utf8_length(said).to_numpy().astype(np.uint64)
    prefix = pc.utf8_slice_codeunits(said, 0, PREFIX_CHARS).combine_chunks()
    key = hash_texts(prefix, 1) ^ (length << np.uint64(32))
    ids, n = (clips.column(name).cast(kind) for name, kind in zip(NAMES.names, NAMES.types, strict=True))
    return pa.table({"video_id": ids, "n": n, "said": key})


def things_of(rows: pa.Table) -> pa.Table:
    """From sentences with `channel_id`, those of known channels: video_id, n, and `said` hashed with the channel."""
    known = rows.filter(pc.not_equal(rows.column("channel_id"), ""))
    channel = hash_texts(known.column("channel_id").combine_chunks().cast(pa.string()), 2)
    said = splitmix64(known.column("said").to_numpy() ^ channel)
    return known.select(NAMES.names).append_column("said", pa.array(said))


def _filed(things: pa.Table) -> Filed:
    each = np.ones(things.num_rows, np.int64)
    return Filed(each, things.column("said").to_numpy()[None, :], each)


def _asked(things: pa.Table) -> Wanted:
    return [[(np.arange(things.num_rows), things.column("said").to_numpy())]]


NAMES = pa.schema([("video_id", pa.string()), ("n", pa.int64())])
KIND = Kind(SENTENCES, Nearness(0), _filed, _asked, lambda a, b: a["said"] == b["said"], NAMES, first_only=True)
