"""The crawl's bookkeeping: what is known about every listed video and source, updated from committed parts alone.

Each part is read once, some 300,000 rows at a time. A known video costs 4 bytes, its category and which round looked at
it, and 8 in a file, a 64-bit hash of its id; one that is tried again 16 more. The ids themselves stay in the tables.

It is kept, and not asked for in SQL each round: from the tables of 45,000 videos it is made in 0.8 processor seconds
and 33 MB, and brought up to date in 0.01 seconds. Queries over the same tables gave the same in 1.3 seconds and 220 MB,
and would be run in each round.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.columns import in_a_file
from manifests.hashing import UInt64
from manifests.membership import NOWHERE, are_in, hash_ids, rows_in, spans_in
from manifests.parallel import READERS
from manifests.reasons import Reason, ReasonClass
from manifests.rows import CandidateRow, ListingRow, SourceRow
from manifests.schema import REJECTS, TABLES
from manifests.stages import names_of
from manifests.version import made_by
from pipeline.crawl.plan import CrawlFacts, RoundPlan, SourceFacts, SourceKey
from pipeline.crawl.sources import NO_RESULT, SEARCHES
from pipeline.engine.store.many_parts import Owners, read_many
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.outdir.retries import read_retries

MAX_CHANNELS = 20_000
"""Channels remembered per category as possible new sources: those with the most kept videos."""
LISTINGS_AT_A_TIME, CHOICES_AT_A_TIME = 500, 15
"""Parts whose rows are read together: some 300,000 rows."""
_OF_REJECTS = pa.schema([REJECTS.field(name) for name in ("video_id", "reason", "next_try_at", "detail")])
_LATER = pa.array([reason.value for reason in Reason if reason.class_ is ReasonClass.LATER])


class KnownVideos:
    """Which ids were listed, for which category first, and which of them were looked at, in which part of `candidates`
    first. 4 bytes per id, and 8 in a file.
    """

    def __init__(self) -> None:
        self.hashes: UInt64 = np.empty(0, dtype=np.uint64)
        self.categories: npt.NDArray[np.int16] = np.empty(0, dtype=np.int16)
        self.part: npt.NDArray[np.int16] = np.empty(0, dtype=np.int16)  # by number; NOWHERE: not looked at

    def __len__(self) -> int:
        return len(self.hashes)

    def add(self, hashes: UInt64, categories: npt.NDArray[Any]) -> None:
        """Adds ids; known ones keep their category."""
        unique, first = np.unique(hashes, return_index=True)
        where, end = spans_in(self.hashes, unique)
        new = where == end
        where = where[new]
        self.hashes = in_a_file([np.insert(self.hashes, where, unique[new])], np.uint64)
        self.categories = np.insert(self.categories, where, categories[first[new]].astype(np.int16))
        self.part = np.insert(self.part, where, NOWHERE)

    def mark(self, hashes: UInt64, categories: npt.NDArray[Any], parts: npt.NDArray[Any]) -> None:
        """Marks ids as looked at, each in the part of this number, in the order of the parts; adds those that were not
        known.
        """
        self.add(hashes, categories)
        unique, first = np.unique(hashes, return_index=True)
        rows = rows_in(self.hashes, unique)
        is_first = self.part[rows] == NOWHERE
        self.part[rows[is_first]] = parts[first[is_first]]

    def unseen(self, hashes: UInt64, category: int) -> npt.NDArray[np.bool_]:
        """For each id: whether it is known for this category and was not looked at."""
        row = rows_in(self.hashes, hashes)
        unseen = row != NOWHERE
        row = row[unseen]
        unseen[unseen] = (self.part[row] == NOWHERE) & (self.categories[row] == category)
        return np.asarray(unseen)

    def parts_of(self, hashes: UInt64) -> list[int]:
        """The numbers of the parts in which some of these ids were looked at first, ascending."""
        parts = np.unique(np.append(self.part, np.int16(NOWHERE))[rows_in(self.hashes, hashes)])
        return [number for number in parts.tolist() if number != NOWHERE]

    def backlog(self) -> dict[int, int]:
        """The number of videos not looked at, by category."""
        return _counts(self.categories[self.part == NOWHERE])


class Retries:
    """Which videos were deferred, and how often each was tried: hashes, and a few numbers of each."""

    def __init__(self) -> None:
        self._videos: UInt64 = np.empty(0, np.uint64)  # ascending
        self._attempts: npt.NDArray[np.int16] = np.empty(0, np.int16)  # of those tried more than once; otherwise 1
        self._deferred: npt.NDArray[np.int16] = np.empty(0, np.int16)  # how often
        self._next_try: npt.NDArray[np.uint32] = np.empty(0, np.uint32)  # the last of these times, seconds since 1970

    def add_attempts(self, videos: UInt64, attempts: npt.NDArray[Any]) -> None:
        """Adds the numbers of further attempts."""
        rows = self._rows(videos)
        np.maximum.at(self._attempts, rows, attempts.astype(np.int16))

    def add_deferred(self, videos: UInt64, next_try: npt.NDArray[Any]) -> None:
        """Adds refusals, with the time from which each video may be tried again, seconds since 1970."""
        rows = self._rows(videos)
        np.add.at(self._deferred, rows, 1)
        np.maximum.at(self._next_try, rows, next_try.astype(np.uint32))

    def _rows(self, videos: UInt64) -> npt.NDArray[np.int64]:
        new = np.unique(videos[rows_in(self._videos, videos) == NOWHERE])
        where = np.searchsorted(self._videos, new)
        self._videos = np.insert(self._videos, where, new)
        self._attempts = np.insert(self._attempts, where, 1)
        self._deferred, self._next_try = np.insert(self._deferred, where, 0), np.insert(self._next_try, where, 0)
        return rows_in(self._videos, videos)

    def attempts(self, videos: UInt64) -> npt.NDArray[np.int16]:
        """[N] how often each was tried."""
        return np.append(self._attempts, np.int16(1))[rows_in(self._videos, videos)]

    def waiting(self) -> tuple[UInt64, npt.NDArray[np.uint32]]:
        """The videos that were not tried again since they were deferred last, and when each is due."""
        waits = (self._deferred > 0) & (self._deferred >= self._attempts)
        return self._videos[waits], self._next_try[waits]


@dataclass(slots=True)
class CrawlLedger:
    """See the module docstring. `update` reads what was newly committed; everything else is a function of what was
    read.
    """

    store: Store
    unit: str = "clips"  # what supply counts: clips | hours | videos
    known: KnownVideos = field(default_factory=KnownVideos)
    asked: Counter[int] = field(default_factory=Counter)
    sources: dict[SourceKey, SourceFacts] = field(default_factory=dict)
    last_found: int = -1
    kept_by_source: Counter[tuple[str, str]] = field(default_factory=Counter)
    channels: dict[int, Counter[str]] = field(default_factory=dict)
    retries: Retries = field(default_factory=Retries)
    _clips: dict[int, tuple[int, int, int]] = field(
        default_factory=dict
    )  # by category: clips, their length (ms), videos
    _parts: dict[str, NewParts] = field(default_factory=dict)  # by table: what is to be read of it
    _open_parts: dict[int, list[Part]] = field(default_factory=dict)
    _candidates: list[Part] = field(default_factory=list)  # by number, as in `known.part`

    def update(self) -> None:
        """Reads the parts that were committed since the last call."""
        with self.store.one_look():
            self._update()

    def _update(self) -> None:
        listed = list(self._read_listings())
        self._read_candidates()
        for parts, counts, hashes in listed:
            self._open(parts, counts, hashes)
        for row in self._new_sources():
            self._add_source(row)
        self._read_videos()
        self._read_supply()
        self._read_rejects()

    @property
    def supply(self) -> dict[int, float]:
        """Clips, hours or videos that the transcripts promise, by category."""
        which, scale = {"clips": (0, 1), "hours": (1, 3_600_000), "videos": (2, 1)}[self.unit]
        return {i: counts[which] / scale for i, counts in sorted(self._clips.items())}

    def facts(self, round_: int, now: datetime | None = None, served: Iterable[str] = ()) -> CrawlFacts:
        """What the next plan needs to know. `served`: retry requests that earlier rounds have served."""
        requests = {name: ids for name, ids in read_retries(self.store, names_of("round")) if name not in set(served)}
        moment = now or datetime.now(UTC)
        requested = {i for ids in requests.values() for i in ids}
        waiting, due_at = self.retries.waiting()
        is_due = due_at <= moment.timestamp()
        due = set(self._candidates_with(waiting[is_due]))
        is_later = ~is_due & ~np.isin(waiting, hash_ids(pa.array(sorted(requested), pa.string())))
        later = due_at[is_later]
        return CrawlFacts(
            round=round_,
            supply=self.supply,
            asked=dict(self.asked),
            backlog=self.known.backlog(),
            sources={key: replace(known, n_kept=self.kept_by_source[key[:2]]) for key, known in self.sources.items()},
            last_found=self.last_found,
            channels={category: _most_first(counts) for category, counts in self.channels.items()},
            due=self._next_attempts(due - requested),
            requested=self._next_attempts(requested),
            requests=tuple(sorted(requests)),
            n_waiting=len(later),
            next_due=datetime.fromtimestamp(int(later.min()), UTC).isoformat() if len(later) else "",
        )

    def _next_attempts(self, ids: set[str]) -> tuple[tuple[str, int], ...]:
        in_order = sorted(ids)
        attempts = self.retries.attempts(hash_ids(pa.array(in_order, pa.string())))
        return tuple(zip(in_order, (attempts + 1).tolist(), strict=True))

    def choose(self, plan: RoundPlan) -> Iterator[ListingRow]:
        """Yields the listed videos that this round looks at, in the order of the listings: rows of `listings`."""
        taken: set[int] = set()
        for category, n_wanted in sorted(plan.n_candidates.items()):
            if n_wanted > 0:
                yield from self._choose(category, n_wanted, taken)

    def _choose(self, category: int, n_wanted: int, taken: set[int]) -> Iterator[ListingRow]:
        for part, table in self._read_ahead(list(self._open_parts.get(category, ()))):
            hashes = hash_ids(table.column("video_id"))
            free = self.known.unseen(hashes, category)
            if not free.any():
                self._open_parts[category].remove(part)
                continue
            for row in np.flatnonzero(free).tolist():
                key = int(hashes[row])
                if key in taken or n_wanted <= 0:
                    continue
                taken.add(key)
                n_wanted -= 1
                yield table.slice(row, 1).to_pylist()[0]
            if n_wanted <= 0:
                return

    def _read_ahead(self, parts: list[Part]) -> Iterator[tuple[Part, pa.Table]]:
        """Yields parts with their rows. More are read together each time: most rounds want few, and some want all."""
        at_once = READERS
        while parts:
            some, parts = parts[:at_once], parts[at_once:]
            tables: dict[int, pa.Table] = {}
            for owners, rows in read_many(self.store, some, TABLES["listings"]):
                first = np.flatnonzero(np.diff(owners, prepend=NOWHERE))
                for i, begin, end in zip(owners[first].tolist(), first, np.append(first[1:], len(owners)), strict=True):
                    tables[i] = rows.slice(begin, end - begin)
            yield from ((part, tables.get(i, TABLES["listings"].empty_table())) for i, part in enumerate(some))
            at_once = min(2 * at_once, LISTINGS_AT_A_TIME)

    def find_candidates(self, ids: set[str]) -> dict[str, CandidateRow]:
        """The first candidate row of each of these videos, for those that are tried again."""
        return self._candidates_with(hash_ids(pa.array(sorted(ids), pa.string())))

    def _candidates_with(self, videos: UInt64) -> dict[str, CandidateRow]:
        """The first candidate row of each of these videos, by id; reads only the parts that hold one."""
        candidates: dict[str, CandidateRow] = {}
        wanted = np.sort(videos)
        for number in self.known.parts_of(wanted):
            table = self.store.read_part(self._candidates[number])
            for row in table.filter(pa.array(are_in(wanted, hash_ids(table.column("video_id"))))).to_pylist():
                candidates.setdefault(row["video_id"], row)
        return candidates

    def _new_parts(self, folder: str) -> list[Part]:
        """The parts of a table, or of a stage's rejects, that were not read yet."""
        return self._parts.setdefault(folder, NewParts(self.store, folder)).new()

    def _new_rows(self, table: str, columns: list[str]) -> Iterator[tuple[Owners, pa.Table]]:
        """The rows of the parts of a table that were not read yet, file by file."""
        return self._rows_of(self._new_parts(table), table, columns)

    def _rows_of(self, parts: list[Part], table: str, columns: list[str]) -> Iterator[tuple[Owners, pa.Table]]:
        return read_many(self.store, parts, pa.schema([TABLES[table].field(name) for name in columns]))

    def _new_sources(self) -> list[SourceRow]:
        """In the order of the parts."""
        files = [(owners, rows) for owners, rows in self._new_rows("sources", TABLES["sources"].names)]
        of_part = [(int(i), row) for owners, rows in files for i, row in zip(owners, rows.to_pylist(), strict=True)]
        return [row for _, row in sorted(of_part, key=lambda pair: pair[0])]

    def _read_listings(self) -> Iterator[tuple[list[Part], npt.NDArray[np.int64], UInt64]]:
        """The new parts of the listings, some at a time, with the number of rows of each, and the hashes of these."""
        for parts in _some_of(self._new_parts("listings"), LISTINGS_AT_A_TIME):
            files = self._rows_of(parts, "listings", ["video_id", "wanted_category_id"])
            owners, hashes, categories = _in_order((i, hash_ids(t.column(0)), t.column(1).to_numpy()) for i, t in files)
            self.known.add(hashes, categories)
            yield parts, np.bincount(owners, minlength=len(parts)), hashes

    def _open(self, parts: list[Part], counts: npt.NDArray[np.int64], hashes: UInt64) -> None:
        """Takes note of the parts with videos that were not looked at, by the category for which these are known."""
        at = rows_in(self.known.hashes, hashes)
        is_free = self.known.part[at] == NOWHERE
        owners = np.repeat(np.arange(len(parts)), counts)[is_free]
        for i, category in np.unique(np.stack([owners, self.known.categories[at[is_free]]], axis=1), axis=0).tolist():
            self._open_parts.setdefault(category, []).append(parts[i])

    def _read_candidates(self) -> None:
        for parts in _some_of(self._new_parts("candidates"), CHOICES_AT_A_TIME):
            files = self._rows_of(parts, "candidates", ["video_id", "wanted_category_id", "attempt"])
            pieces = ((i, hash_ids(t.column(0)), *(t.column(n).to_numpy() for n in (1, 2))) for i, t in files)
            owners, hashes, categories, attempt = _in_order(pieces)
            self.known.mark(hashes, categories, owners + len(self._candidates))
            self._candidates += parts
            is_first = attempt <= 1
            self.asked.update(_counts(categories[is_first]))
            self.retries.add_attempts(hashes[~is_first], attempt[~is_first])

    def _add_source(self, row: SourceRow) -> None:
        key = (row["source"], row["query"], row["wanted_category_id"])
        self.sources[key] = after_listing(self.sources.get(key, SourceFacts()), row)
        if row["source"] in SEARCHES and row["n_listed"]:
            self.last_found = max(self.last_found, row["round"])

    def _read_videos(self) -> None:
        for _, table in self._new_rows("videos", ["source", "query", "category_id", "channel_id"]):
            for source, query, n in _counted(table, ["source", "query"]):
                self.kept_by_source[source, query] += n
            with_channel = table.filter(pc.not_equal(table.column("channel_id"), ""))
            for category, channel_id, n in _counted(with_channel, ["category_id", "channel_id"]):
                self.channels.setdefault(category, Counter())[channel_id] += n
        for category, counts in self.channels.items():
            if len(counts) > 2 * MAX_CHANNELS:
                self.channels[category] = Counter({name: counts[name] for name in _most_first(counts)[:MAX_CHANNELS]})

    def _read_supply(self) -> None:
        for _, table in self._new_rows("clips", ["video_id", "category_id", "start_ms", "end_ms"]):
            length = pc.subtract(table.column("end_ms"), table.column("start_ms")).cast(pa.int64())
            columns = {"category": table.column("category_id"), "video": table.column("video_id"), "ms": length}
            counted = (
                pa.table(columns)
                .group_by("category")
                .aggregate([("ms", "count"), ("ms", "sum"), ("video", "count_distinct")])
            )
            for category, *more in _rows(counted.select(["category", "ms_count", "ms_sum", "video_count_distinct"])):
                before = self._clips.get(category, (0, 0, 0))
                self._clips[category] = before[0] + more[0], before[1] + more[1], before[2] + more[2]

    def _read_rejects(self) -> None:
        for stage in names_of("round"):
            parts = self._new_parts(f"rejects/{stage}")
            for _, table in read_many(self.store, parts, _OF_REJECTS):
                late = table.filter(pc.is_in(table.column("reason"), value_set=_LATER))
                is_ours = pc.starts_with(late.column("detail"), made_by())
                is_error = pc.equal(late.column("reason"), Reason.INTERNAL_ERROR.value)
                late = late.filter(pc.invert(pc.and_(is_error, is_ours)))
                self.retries.add_deferred(hash_ids(late.column("video_id")), _seconds(late.column("next_try_at")))


def after_listing(known: SourceFacts, row: SourceRow) -> SourceFacts:
    """What is known of a source after one more listing of it.

    A listing that came to its end ends a series of failures, unless it was no longer than one page of a longer list.
    """
    still_failing = known.failures if row["up_to"] < known.up_to else 0
    return SourceFacts(
        up_to=max(known.up_to, row["up_to"]),
        n_listed=known.n_listed + row["n_listed"] if row["cursor"] else max(known.n_listed, row["n_listed"]),
        cursor=max(known.cursor, row["cursor"]),
        exhausted=known.exhausted or row["exhausted"],
        failures=known.failures + 1 if row["reason"] else still_failing,
        reason=row["reason"] or known.reason,
        empty_in=row["round"] if row["detail"] == NO_RESULT else known.empty_in,
    )


def _counts(categories: npt.NDArray[Any]) -> dict[int, int]:
    """How often each category is there."""
    distinct, counts = np.unique(categories, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def _seconds(times: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """[N] ISO times as seconds since 1970; 0 for ""."""
    times = pc.if_else(pc.equal(times, ""), None, times).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return np.asarray(pc.fill_null(times, 0).to_numpy() // 1_000_000)


def _some_of(parts: list[Part], n: int) -> Iterator[list[Part]]:
    """Yields the parts in order, `n` at a time."""
    return (parts[i : i + n] for i in range(0, len(parts), n))


def _counted(table: pa.Table, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Each combination of values in these columns with its number of rows, in the order of first appearance."""
    return _rows(table.group_by(columns, use_threads=False).aggregate([([], "count_all")]))


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _in_order(pieces: Iterator[tuple[npt.NDArray[Any], ...]]) -> tuple[npt.NDArray[Any], ...]:
    """Columns of rows, brought into the order of the rows' parts, which the first column numbers."""
    columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return tuple(column[order] for column in columns)


def _most_first(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(channel for channel, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
