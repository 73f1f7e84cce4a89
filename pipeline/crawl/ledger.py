"""The crawl's bookkeeping: what is known about every listed video and source, updated from committed parts alone.

Each part is read once. A known video costs 11 bytes: a 64-bit hash of its id, its category, and whether it was looked
at; the ids themselves stay in the tables.
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

from manifests.hashing import UInt64
from manifests.membership import hash_ids, spans_in
from manifests.reasons import Reason, ReasonClass
from manifests.rows import CandidateRow, ListingRow, SourceRow
from manifests.schema import REJECTS, TABLES
from manifests.stages import names_of
from manifests.version import made_by
from pipeline.crawl.plan import CrawlFacts, RoundPlan, SourceFacts, SourceKey
from pipeline.engine.store.many_parts import Owners, read_many
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.outdir.retries import read_retries

MAX_CHANNELS = 20_000
"""Channels remembered per category as possible new sources: those with the most kept videos."""
_OF_REJECTS = pa.schema([REJECTS.field(name) for name in ("video_id", "reason", "next_try_at", "detail")])
_LATER = pa.array([reason.value for reason in Reason if reason.class_ is ReasonClass.LATER])


class KnownVideos:
    """Which ids were listed, for which category first, and which of them were looked at. 11 bytes per id."""

    def __init__(self) -> None:
        self.hashes: UInt64 = np.empty(0, dtype=np.uint64)
        self.categories: npt.NDArray[np.int16] = np.empty(0, dtype=np.int16)
        self.looked_at: npt.NDArray[np.bool_] = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.hashes)

    def add(self, hashes: UInt64, categories: npt.NDArray[Any]) -> None:
        """Adds ids; known ones keep their category."""
        unique, first = np.unique(hashes, return_index=True)
        where, end = spans_in(self.hashes, unique)
        new = where == end
        where = where[new]
        self.hashes = np.insert(self.hashes, where, unique[new])
        self.categories = np.insert(self.categories, where, categories[first[new]].astype(np.int16))
        self.looked_at = np.insert(self.looked_at, where, False)

    def mark(self, hashes: UInt64, categories: npt.NDArray[Any]) -> None:
        """Marks ids as looked at; adds those that were not known."""
        self.add(hashes, categories)
        self.looked_at[spans_in(self.hashes, hashes)[0]] = True

    def unseen(self, hashes: UInt64, category: int) -> npt.NDArray[np.bool_]:
        """For each id: whether it is known for this category and was not looked at."""
        row, end = spans_in(self.hashes, hashes)
        unseen = row < end
        row = row[unseen]
        unseen[unseen] = ~self.looked_at[row] & (self.categories[row] == category)
        return unseen

    def backlog(self) -> dict[int, int]:
        """The number of videos not looked at, by category."""
        categories, counts = np.unique(self.categories[~self.looked_at], return_counts=True)
        return {int(category): int(n) for category, n in zip(categories, counts, strict=True)}


@dataclass(slots=True)
class CrawlLedger:
    """See the module docstring. `update` reads what was newly committed; everything else is a function of what was
    read.
    """

    store: Store
    unit: str = "clips"  # what supply counts: clips | hours
    known: KnownVideos = field(default_factory=KnownVideos)
    asked: Counter[int] = field(default_factory=Counter)
    sources: dict[SourceKey, SourceFacts] = field(default_factory=dict)
    kept_by_source: Counter[tuple[str, str]] = field(default_factory=Counter)
    channels: dict[int, Counter[str]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)  # of videos tried more than once
    deferred: dict[str, list[str]] = field(default_factory=dict)  # video → next_try_at of each time
    _clips: dict[int, tuple[int, int]] = field(default_factory=dict)  # by category: clips and their summed length, ms
    _parts: dict[str, NewParts] = field(default_factory=dict)  # by table: what is to be read of it
    _open_parts: dict[int, list[Part]] = field(default_factory=dict)

    def update(self) -> None:
        """Reads the parts that were committed since the last call."""
        listed = self._read_listings()
        self._read_candidates()
        self._open(*listed)
        for row in self._new_sources():
            self._add_source(row)
        self._read_videos()
        self._read_supply()
        self._read_rejects()

    @property
    def supply(self) -> dict[int, float]:
        """Clips or hours that the transcripts promise, by category."""
        return {i: float(n) if self.unit == "clips" else ms / 3_600_000 for i, (n, ms) in sorted(self._clips.items())}

    def facts(self, round_: int, now: datetime | None = None, served: Iterable[str] = ()) -> CrawlFacts:
        """What the next plan needs to know. `served`: retry requests that earlier rounds have served."""
        requests = {name: ids for name, ids in read_retries(self.store, names_of("round")) if name not in set(served)}
        waiting = {i: times for i, times in self.deferred.items() if len(times) >= self.attempts.get(i, 1)}
        moment = (now or datetime.now(UTC)).isoformat()
        due = {i for i, times in waiting.items() if max(times) <= moment}
        requested = {i for ids in requests.values() for i in ids}
        later = [max(times) for i, times in waiting.items() if i not in due | requested]
        return CrawlFacts(
            round=round_,
            supply=self.supply,
            asked=dict(self.asked),
            backlog=self.known.backlog(),
            sources={key: replace(known, n_kept=self.kept_by_source[key[:2]]) for key, known in self.sources.items()},
            channels={category: _most_first(counts) for category, counts in self.channels.items()},
            due=self._next_attempts(due - requested),
            requested=self._next_attempts(requested),
            requests=tuple(sorted(requests)),
            n_waiting=len(later),
            next_due=min(later, default=""),
        )

    def _next_attempts(self, ids: set[str]) -> tuple[tuple[str, int], ...]:
        return tuple(sorted((i, self.attempts.get(i, 1) + 1) for i in ids))

    def choose(self, plan: RoundPlan) -> Iterator[ListingRow]:
        """Yields the listed videos that this round looks at, in the order of the listings: rows of `listings`."""
        taken: set[int] = set()
        for category, n_wanted in sorted(plan.n_candidates.items()):
            yield from self._choose(category, n_wanted, taken)

    def _choose(self, category: int, n_wanted: int, taken: set[int]) -> Iterator[ListingRow]:
        for part in list(self._open_parts.get(category, ())):
            if n_wanted <= 0:
                return
            table = self.store.read_part(part)
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

    def find_candidates(self, ids: set[str]) -> dict[str, CandidateRow]:
        """The first candidate row of each of these videos, for those that are tried again."""
        candidates: dict[str, CandidateRow] = {}
        for part in self.store.parts("candidates") if ids else ():
            table = self.store.read_part(part)
            mask = pc.is_in(table.column("video_id"), value_set=pa.array(sorted(ids)))
            for row in table.filter(mask).to_pylist():
                candidates.setdefault(row["video_id"], row)
        return candidates

    def _new_parts(self, folder: str) -> list[Part]:
        """The parts of a table, or of a stage's rejects, that were not read yet."""
        return self._parts.setdefault(folder, NewParts(self.store, folder)).new()

    def _new_rows(self, table: str, columns: list[str]) -> tuple[list[Part], Iterator[tuple[Owners, pa.Table]]]:
        """The parts of a table that were not read yet, and their rows, file by file."""
        parts = self._new_parts(table)
        return parts, read_many(self.store, parts, pa.schema([TABLES[table].field(name) for name in columns]))

    def _new_sources(self) -> list[SourceRow]:
        """In the order of the parts."""
        files = [(owners, rows) for owners, rows in self._new_rows("sources", TABLES["sources"].names)[1]]
        of_part = [(int(i), row) for owners, rows in files for i, row in zip(owners, rows.to_pylist(), strict=True)]
        return [row for _, row in sorted(of_part, key=lambda pair: pair[0])]

    def _read_listings(self) -> tuple[list[Part], npt.NDArray[Any]]:
        """The new parts of the listings, and of each row the part and the hash of its video: [2, N]."""
        parts, files = self._new_rows("listings", ["video_id", "wanted_category_id"])
        if not parts:
            return [], np.zeros((2, 0), np.uint64)
        owners, hashes, categories = _in_order((i, hash_ids(t.column(0)), t.column(1).to_numpy()) for i, t in files)
        self.known.add(hashes, categories)
        return parts, np.stack([owners.astype(np.uint64), hashes])

    def _open(self, parts: list[Part], rows: npt.NDArray[Any]) -> None:
        """Takes note of the parts with videos that were not looked at, by the category for which these are known."""
        owners, hashes = rows
        at = spans_in(self.known.hashes, hashes)[0]
        is_free = ~self.known.looked_at[at]
        pairs = np.stack([owners[is_free].astype(np.int64), self.known.categories[at[is_free]]], axis=1)
        for i, category in np.unique(pairs, axis=0).tolist():
            self._open_parts.setdefault(category, []).append(parts[i])

    def _read_candidates(self) -> None:
        marked = []
        for owners, table in self._new_rows("candidates", ["video_id", "wanted_category_id", "attempt"])[1]:
            marked.append((owners, hash_ids(table.column("video_id")), table.column("wanted_category_id").to_numpy()))
            is_first = pc.less_equal(table.column("attempt"), 1)
            for category, n in _counted(table.filter(is_first), ["wanted_category_id"]):
                self.asked[category] += n
            for video_id, attempt in _rows(table.filter(pc.invert(is_first)).select(["video_id", "attempt"])):
                self.attempts[video_id] = max(attempt, self.attempts.get(video_id, 1))
        if marked:
            _, hashes, categories = _in_order(iter(marked))
            self.known.mark(hashes, categories)

    def _add_source(self, row: SourceRow) -> None:
        key = (row["source"], row["query"], row["wanted_category_id"])
        known = self.sources.get(key, SourceFacts())
        self.sources[key] = SourceFacts(
            up_to=max(known.up_to, row["up_to"]),
            n_listed=known.n_listed + row["n_listed"] if row["cursor"] else max(known.n_listed, row["n_listed"]),
            cursor=max(known.cursor, row["cursor"]),
            exhausted=known.exhausted or row["exhausted"],
            failures=known.failures + 1 if row["reason"] else known.failures,
            reason=row["reason"] or known.reason,
        )

    def _read_videos(self) -> None:
        for _, table in self._new_rows("videos", ["source", "query", "category_id", "channel_id"])[1]:
            for source, query, n in _counted(table, ["source", "query"]):
                self.kept_by_source[source, query] += n
            with_channel = table.filter(pc.not_equal(table.column("channel_id"), ""))
            for category, channel_id, n in _counted(with_channel, ["category_id", "channel_id"]):
                self.channels.setdefault(category, Counter())[channel_id] += n
        for category, counts in self.channels.items():
            if len(counts) > 2 * MAX_CHANNELS:
                self.channels[category] = Counter({name: counts[name] for name in _most_first(counts)[:MAX_CHANNELS]})

    def _read_supply(self) -> None:
        for _, table in self._new_rows("clips", ["category_id", "start_ms", "end_ms"])[1]:
            length = pc.subtract(table.column("end_ms"), table.column("start_ms")).cast(pa.int64())
            of_category = pa.table({"category": table.column("category_id"), "ms": length}).group_by("category")
            counted = of_category.aggregate([("ms", "count"), ("ms", "sum")]).select(["category", "ms_count", "ms_sum"])
            for category, n_clips, ms in _rows(counted):
                clips_before, ms_before = self._clips.get(category, (0, 0))
                self._clips[category] = clips_before + n_clips, ms_before + ms

    def _read_rejects(self) -> None:
        for stage in names_of("round"):
            parts = self._new_parts(f"rejects/{stage}")
            for _, table in read_many(self.store, parts, _OF_REJECTS):
                late = table.filter(pc.is_in(table.column("reason"), value_set=_LATER))
                for video_id, reason, next_try_at, detail in _rows(late):
                    if reason != Reason.INTERNAL_ERROR or not detail.startswith(made_by()):
                        self.deferred.setdefault(video_id, []).append(next_try_at)


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
