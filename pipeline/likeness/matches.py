"""The matches that are committed: all that a plan reads of what is alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.columns import table_in_a_file
from manifests.membership import Ids
from manifests.rows import MatchRow
from manifests.schema import TABLES
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store

NONE = TABLES["matches"].empty_table()
SIDES = ("other_", "")
"""What the columns of the earlier and of the later one of a pair begin with."""


def match_of(
    what: str, earlier: Mapping[str, Any], later: Mapping[str, Any], earlier_n: int = -1, later_n: int = -1
) -> MatchRow:
    """The row of two that are alike, given the rows of their videos."""
    return {
        "what": what,
        "video_id": later["video_id"],
        "n": later_n,
        "channel_id": later.get("channel_id", ""),
        "other_video_id": earlier["video_id"],
        "other_n": earlier_n,
        "other_channel_id": earlier.get("channel_id", ""),
    }


def among(matches: pa.Table, videos: pa.Table) -> pa.Table:
    """The matches of which both sides are of these videos."""
    known = Ids.of(videos.column("video_id"))
    mine, theirs = (known.holds(matches.column(f"{side}video_id")) for side in SIDES)
    return matches.filter(pa.array(mine & theirs))


class Matches:
    """The matches of a store, in a file for each kind; `of` reads what was committed since the last call."""

    def __init__(self, store: Store) -> None:
        self._follower = Follower(store, "matches", NONE.column_names)
        self._rows: dict[str, pa.Table] = {}

    def of(self, what: str) -> pa.Table:
        """Those of clips, videos, texts or sentences."""
        new = pa.concat_tables([NONE, *self._follower.new()])
        for kind in pc.unique(new.column("what")).to_pylist():
            rows = new.filter(pc.equal(new.column("what"), kind))
            self._rows[kind] = table_in_a_file(pa.concat_tables([self._rows.get(kind, NONE), rows]))
        return self._rows.get(what, NONE)
