"""Compares a table's things as soon as their video is known: new against old, once each (index.py).

Only rows of videos that were not added yet are read, so a driver that starts again reads only what is new. Rows of
videos that are not known yet wait in memory, condensed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.membership import Ids
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.likeness.index import AlikeIndex, Kind
from pipeline.likeness.tasks import Spread, spread_here

MOST_WAITING = 1 << 22
"""Rows that may wait. If more come at once, as when comparing everything again, they are added in table order."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where things come from. `columns`: what is read of a table; `condensed`: what is kept of its rows while they
    wait; `of_videos`: columns of the videos that are added; `things`: what of these rows is compared. All keep column
    video_id.

    Rows are added by round, by id, then by `order`; about `at_a_time` of them together, those of a video always.
    """

    table: str
    columns: tuple[str, ...]
    of_videos: tuple[str, ...]
    things: Callable[[pa.Table], pa.Table]
    at_a_time: int
    condensed: Callable[[pa.Table], pa.Table] = lambda rows: rows
    order: tuple[str, ...] = ()


class Compared:
    """See the module. `what`: its folder in `alike/`; `settings`: all that the pairs depend on."""

    def __init__(
        self, store: Store, what: str, kind: Kind, source: Source, settings: str, spread: Spread = spread_here
    ) -> None:
        self._store, self._kind, self._source = store, kind, source
        self._index = AlikeIndex(store, what, [kind], settings, spread)
        self._start()

    def _start(self) -> None:
        source = self._source
        self._follower = Follower(self._store, source.table, source.columns, lambda ids: ~self._index.are_added(ids))
        self._waiting: list[pa.Table] = []
        self._waiting_ids: list[pa.Array] = []

    def pairs(self, videos: pa.Table, every: pa.Table | None = None) -> pa.Table:
        """The pairs among `videos`, whatever else was added: columns a.<name>, b.<name>; a was added before b.

        `every`: all known videos (None: these), with the columns that the source wants of them and optionally `round`,
        in whose order they are added.
        """
        self._index.go_on(self._start, partial(self._follow, videos if every is None else every))
        pairs, known = self._index.pairs(self._kind.name), Ids.of(videos.column("video_id"))
        return pairs.filter(pa.array(known.holds(pairs.column("a.video_id")) & known.holds(pairs.column("b.video_id"))))

    def add(self, rows: pa.Table) -> None:
        """Adds rows with the source's columns."""
        rows = rows.select(self._source.columns)
        rows = rows.filter(pa.array(~self._index.are_added(rows.column("video_id"))))
        self._waiting_ids.append(pc.unique(rows.column("video_id")).cast(pa.string()))
        self._waiting.append(self._source.condensed(rows))

    def _follow(self, videos: pa.Table) -> None:
        for rows in self._follower.new():
            self.add(rows)
            if sum(table.num_rows for table in self._waiting) >= MOST_WAITING:
                self._compare_waiting(videos)
        self._compare_waiting(videos)

    def _compare_waiting(self, videos: pa.Table) -> None:
        """Compares the waiting rows of these videos."""
        if not self._waiting:
            return
        known, ids, rows = Ids.of(videos.column("video_id")), self._ids(), pa.concat_tables(self._waiting)
        is_known, row = known.holds(ids), known.rows(rows.column("video_id"))
        self._waiting_ids, self._waiting = [ids.filter(pa.array(~is_known))], [rows.filter(pa.array(row < 0))]
        ids, rows, row = ids.filter(pa.array(is_known)), rows.filter(pa.array(row >= 0)), row[row >= 0]
        if not len(ids):
            return
        for name in self._source.of_videos:
            rows = rows.append_column(name, videos.column(name).take(pa.array(row)))
        rounds = videos.column("round").take(pa.array(row)) if "round" in videos.column_names else pa.array(row * 0)
        order = [(name, "ascending") for name in ("round", "video_id", *self._source.order)]
        rows = rows.append_column("round", rounds).sort_by(order)
        silent = ids.filter(pc.invert(pc.is_in(ids, value_set=pc.unique(rows.column("video_id")))))
        for some in _of_a_size(rows, self._source.at_a_time):
            of_some = pc.unique(some.column("video_id")).cast(pa.string())
            self._index.add({self._kind.name: self._source.things(some)}, pa.concat_arrays([of_some, silent]))
            silent = silent.slice(0, 0)

    def _ids(self) -> pa.Array:
        return pa.concat_arrays([pa.array([], pa.string()), *self._waiting_ids])


def _of_a_size(rows: pa.Table, at_a_time: int) -> Iterator[pa.Table]:
    """Yields the rows in parts of about `at_a_time`, at least one part; the rows of a video are and stay together."""
    ids = rows.column("video_id").combine_chunks()
    first = np.flatnonzero(
        np.append(True, pc.not_equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))).to_numpy(False))
    )
    number = first // at_a_time
    edges = first[np.flatnonzero(np.diff(number)) + 1].tolist()
    for begin, end in zip([0, *edges], [*edges, len(ids)], strict=True):
        yield rows.slice(begin, end - begin)
