"""Finds pairs that are alike among millions of things, new against old; its index is kept from plan to plan.

    alike/<what>/state.json                        which files count; replaced as a whole
    alike/<what>/<batch>/<kind>.parquet            things that were added together, and what is compared of them
                         <kind>.pairs.parquet      those of them that are like an earlier one
                         <kind>.<level>.near       hashes (files.py): of one batch, or of 8, 64 …
                         taken.bin                 hashes of the ids of the videos that were added

Only the pairs and 8 bytes per video are in memory. The rest is in the output directory, since workers on any machine
look through it, some columns each, and a restarted driver continues with it. All of it can be made again from the
tables: if a file is missing or damaged (`LostHashes`), `clear` and add everything again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from manifests.hashing import UInt64
from manifests.membership import are_in, hash_ids
from manifests.parquet import open_parquet, parquet_bytes
from manifests.wrong_value import first_fault
from pipeline.engine.store.files import Files
from pipeline.engine.store.parallel import READERS
from pipeline.engine.store.ranges import RowFile
from pipeline.likeness.bands import ALL_BITS, HALF, LOW, HashQuery, Int64, bits_of
from pipeline.likeness.files import FORMAT, Filed, LostHashes, NearFile, merged_files, write_filed
from pipeline.likeness.tasks import PatientFiles, Spread, search_all, search_pieces, spread_here, tasks_of
from pipeline.likeness.together import Nearness
from pipeline.media.phash import Hashes
from pipeline.outdir.remade import ALIKE, delete_folder, forget_alike

log = logging.getLogger("hdvila")

FAN_IN = 8
"""This many files of one level are merged into one of the next."""
MOST_BYTES = 512 * 1024**2
"""Files that are larger than this together are not merged."""
GROUP_ROWS = 256
"""Things per row group: of the old things only groups with one that a new one may be like are read."""

Wanted = Sequence[Sequence[tuple[Int64, Hashes]]]
"""What is looked for in each column, one kind after the other: (whose each hash is, in order; the hashes)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing. `filed`, `asked`: the hashes by which a table's things are found, and by which they look for
    others, with row numbers as owners; `nearness`: which of them are near; `is_same`: whether two rows are alike.
    `names`: columns of the table of pairs.

    `first_only`: a thing is paired only with the first one that its hashes find; for kinds where all that agree are
    alike.
    `parts`: an earlier kind. Things are then not searched themselves, but compared if any of their parts have near
    hashes. A part's column `whole` is the row of its thing in the table that is added with it, or -1.
    """

    name: str
    nearness: Nearness
    filed: Callable[[pa.Table], Filed]
    asked: Callable[[pa.Table], Wanted]
    is_same: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
    names: pa.Schema
    first_only: bool = False
    parts: str = ""

    @property
    def pairs(self) -> pa.Schema:
        """The columns of the table of pairs."""
        return pa.schema([pa.field(f"{side}.{field.name}", field.type) for side in "ab" for field in self.names])


class _Run(BaseModel):
    level: int
    file: NearFile


class _OfKind(BaseModel):
    n_things: int = 0
    n_rows: int = 0
    """Hashes in each column."""
    runs: tuple[_Run, ...] = ()


class _Batch(BaseModel):
    name: str
    first: dict[str, int]
    """By kind: number of the batch's first item."""


class _State(BaseModel):
    settings: str
    batches: tuple[_Batch, ...] = ()
    kinds: dict[str, _OfKind] = {}
    gone: tuple[str, ...] = ()
    """Files that were merged into others."""


class AlikeIndex:
    """The index; see the module. `settings`: all that the pairs depend on; if it changes everything is made again."""

    def __init__(
        self, files: Files, what: str, kinds: Sequence[Kind], settings: str, spread: Spread = spread_here
    ) -> None:
        self._files, self._what, self._spread = files, what, spread
        self._settings = f"{FORMAT} {settings}"
        self._folder = f"{ALIKE}/{what}"
        self._kinds = {kind.name: kind for kind in kinds}
        self._seen: bytes | None = b""
        self._state = _State(settings=self._settings)
        self._taken = np.zeros(0, np.uint64)
        self._pairs: dict[str, list[pa.Table]] = {}

    def are_added(self, video_ids: pa.Array) -> NDArray[np.bool_]:
        """[N] which videos were added."""
        return are_in(self._taken, hash_ids(video_ids))

    def pairs(self, kind: str) -> pa.Table:
        """The pairs that are alike: columns a.<name>, b.<name>; a was added before b."""
        return pa.concat_tables([self._kinds[kind].pairs.empty_table(), *self._pairs.get(kind, [])])

    def add(self, things: Mapping[str, pa.Table], video_ids: pa.Array) -> None:
        """Adds things (a table by kind) in their order, and records these videos as added. Raises LostHashes."""
        name = f"{len(self._state.batches):05d}-{uuid.uuid4().hex[:8]}"
        folder = f"{self._folder}/{name}"
        batch = _Batch(name=name, first={kind: self._of(kind).n_things for kind in self._kinds})
        changed: dict[str, _OfKind] = {}
        found: dict[str, list[_Rows]] = {}
        new_pairs: dict[str, pa.Table] = {}
        for kind in self._kinds.values():
            table, n_before = things[kind.name], self._of(kind.name).n_things
            _write_rows(self._files, f"{folder}/{kind.name}.parquet", table)
            if kind.parts:
                changed[kind.name] = _OfKind(n_things=n_before + table.num_rows)
                candidates = self._wholes(found[kind.parts], kind.name)
            else:
                changed[kind.name], candidates = self._file_and_search(kind, table, folder)
            found[kind.name] = self._with_rows(kind.name, candidates, table)
            new_pairs[kind.name] = _alike(kind, found[kind.name])
            self._files.write_table(f"{folder}/{kind.name}.pairs.parquet", new_pairs[kind.name])
        taken = np.unique(hash_ids(video_ids))
        self._files.write(f"{folder}/taken.bin", taken.tobytes())
        merged = {kind: self._merged(kind, of_kind, folder) for kind, of_kind in changed.items()}
        gone = _paths(changed) - _paths(merged)
        state = _State(
            settings=self._settings,
            batches=(*self._state.batches, batch),
            kinds={**self._state.kinds, **merged},
            gone=tuple(sorted(gone)),
        )
        self._write(state)
        self._taken = np.union1d(self._taken, taken)
        self._add_pairs(new_pairs)
        for path in gone:
            self._files.delete(path)

    def _of(self, kind: str) -> _OfKind:
        return self._state.kinds.get(kind, _OfKind())

    def go_on(self, start: Callable[[], object], add_new: Callable[[], object]) -> None:
        """Adds what is new. If part of the index is lost, clears it and adds everything again after `start`,
        which makes `add_new` begin at the beginning.
        """
        try:
            self.refresh()
            add_new()
        except LostHashes as error:
            log.warning("%s; everything is compared again from the beginning", error)
            self.clear()
            start()
            add_new()

    # search

    def _file_and_search(self, kind: Kind, table: pa.Table, folder: str) -> tuple[_OfKind, Int64]:
        """Files things: (the kind's new state, pairs [N, 2] of numbers of things with near hashes)."""
        known = self._of(kind.name)
        filed = kind.filed(table)
        file = write_filed(self._files, f"{folder}/{kind.name}.0.near", filed, known.n_things)
        runs = (*known.runs, _Run(level=0, file=file))
        of_kind = _OfKind(n_things=known.n_things + table.num_rows, n_rows=known.n_rows + file.n_rows, runs=runs)
        codes = self._search(
            kind.nearness, [run.file for run in runs], asked_of(kind, table, filed, known.n_things, known.n_rows)
        )
        if kind.first_only:
            codes = codes[np.unique(codes & LOW, return_index=True)[1]]
        return of_kind, np.stack([codes >> HALF, codes & LOW], axis=1)

    def _search(self, nearness: Nearness, some: Sequence[NearFile], asked: Sequence[HashQuery]) -> Int64:
        work = partial(search_pieces, PatientFiles(self._files), some, asked, nearness)
        tasks = tasks_of([file.n_column for file in some], [len(one.hashes) for one in asked])
        return search_all(self._spread if len(tasks) > 1 else spread_here, work, tasks)

    def _merged(self, kind: str, of_kind: _OfKind, folder: str) -> _OfKind:
        """Merges the last files of one level into one of the next, where there are enough of them."""
        runs = list(of_kind.runs)
        while len(runs) >= FAN_IN and runs[-FAN_IN].level == runs[-1].level:
            some, level = [run.file for run in runs[-FAN_IN:]], runs[-1].level + 1
            if sum(file.n_bytes for file in some) > MOST_BYTES:
                break
            runs[-FAN_IN:] = [_Run(level=level, file=merged_files(self._files, some, f"{folder}/{kind}.{level}.near"))]
        return of_kind.model_copy(update={"runs": tuple(runs)})

    # pairs that are alike

    def _with_rows(self, kind: str, pairs: Int64, table: pa.Table) -> list[_Rows]:
        """Reads the rows of pairs [N, 2] of numbers. `table`: the new things."""
        first = self._of(kind).n_things
        rows = self._old_rows(kind, np.unique(pairs[pairs < first]))
        new = np.unique(pairs[pairs >= first])
        rows.update(zip(new.tolist(), table.take(pa.array(new - first)).to_pylist(), strict=True))
        return [((a, rows[a]), (b, rows[b])) for a, b in pairs.tolist()]

    def _wholes(self, of_parts: Sequence[_Rows], kind: str) -> Int64:
        """Pairs [N, 2] of numbers of different things whose parts are paired here."""
        part = self._kinds[kind].parts
        firsts = np.array([batch.first[part] for batch in self._state.batches] + [self._of(part).n_things], np.int64)
        wholes = [batch.first[kind] for batch in self._state.batches] + [self._of(kind).n_things]

        def whole(number: int, row: Mapping[str, Any]) -> int:
            batch = int(np.searchsorted(firsts, number, side="right")) - 1
            return wholes[batch] + int(row["whole"]) if row["whole"] >= 0 else -1

        found = {tuple(sorted((whole(*a), whole(*b)))) for a, b in of_parts}
        return np.array(sorted((a, b) for a, b in found if 0 <= a < b), np.int64).reshape(-1, 2)

    def _old_rows(self, kind: str, numbers: Int64) -> dict[int, dict[str, Any]]:
        batches = self._state.batches
        firsts = np.array([batch.first[kind] for batch in batches], np.int64)
        of_batch = np.searchsorted(firsts, numbers, side="right") - 1
        asked = [(batches[i].name, int(firsts[i]), numbers[of_batch == i]) for i in np.unique(of_batch).tolist()]

        def read(one: tuple[str, int, Int64]) -> dict[int, dict[str, Any]]:
            name, first, wanted = one
            found = _rows(self._files, f"{self._folder}/{name}/{kind}.parquet", wanted - first)
            return dict(zip(wanted.tolist(), found, strict=True))

        with ThreadPoolExecutor(READERS) as readers:
            return {number: row for found in readers.map(read, asked) for number, row in found.items()}

    # the stored index

    def refresh(self) -> None:
        """Loads the index as an earlier or another driver left it. Raises LostHashes."""
        data = self._read_state()
        if data == self._seen:
            return
        self._taken, self._pairs, self._state = np.zeros(0, np.uint64), {}, _State(settings=self._settings)
        where = f"{self._files.url}/{self._folder}"
        try:
            state = _State.model_validate_json(data) if data else self._state
        except ValidationError as error:
            raise LostHashes(f"{where}/state.json: is damaged ({first_fault(_State, error)})") from None
        if state.settings != self._settings:
            raise LostHashes(f"{where}: was made with other settings")
        self._state, self._seen = state, data
        self._sweep()
        with ThreadPoolExecutor(READERS) as readers:
            batches = list(readers.map(self._read_batch, state.batches))
        self._taken = np.unique(np.concatenate([self._taken, *(taken for taken, _ in batches)]))
        for _, pairs in batches:
            self._add_pairs(pairs)

    def _read_batch(self, batch: _Batch) -> tuple[UInt64, dict[str, pa.Table]]:
        folder = f"{self._folder}/{batch.name}"
        try:
            taken = np.frombuffer(self._files.read(f"{folder}/taken.bin"), "<u8").astype(np.uint64)
            tables = {}
            for kind in self._kinds:
                with self._files.open(f"{folder}/{kind}.pairs.parquet") as file:
                    tables[kind] = open_parquet(file).read()
        except (FileNotFoundError, ValueError, pa.ArrowException) as error:
            raise LostHashes(f"{self._files.url}/{folder}: is damaged ({error})") from None
        return taken, tables

    def _add_pairs(self, pairs: Mapping[str, pa.Table]) -> None:
        for kind, table in pairs.items():
            if table.num_rows:
                self._pairs.setdefault(kind, []).append(table)

    def _read_state(self) -> bytes | None:
        try:
            return self._files.read(f"{self._folder}/state.json")
        except FileNotFoundError:
            return None

    def _write(self, state: _State) -> None:
        data = state.model_dump_json().encode()
        self._files.write(f"{self._folder}/state.json", data)
        self._state, self._seen = state, data

    def _sweep(self) -> None:
        """Deletes what killed drivers left: files that were merged, and batches that never counted."""
        for path in self._state.gone:
            self._files.delete(path)
        for name in sorted(set(self._files.folders(self._folder)) - {batch.name for batch in self._state.batches}):
            delete_folder(self._files, f"{self._folder}/{name}")

    def clear(self) -> None:
        """Deletes the index and starts an empty one."""
        forget_alike(self._files, self._what)
        self._seen, self._state = None, _State(settings=self._settings)
        self._taken, self._pairs = np.zeros(0, np.uint64), {}


_Rows = tuple[tuple[int, Mapping[str, Any]], tuple[int, Mapping[str, Any]]]
"""A pair of things: the number and the row of each."""


def asked_of(kind: Kind, table: pa.Table, filed: Filed, n_things: int, n_rows: int) -> list[HashQuery]:
    """Builds each column's query; band width follows from the index size, and is all bits if only equal hashes are
    near. `n_things`, `n_rows`: what the index holds so far.
    """
    bits = bits_of(n_rows + np.cumsum(filed.counts) - filed.counts)
    if not kind.nearness.max_distance:
        bits[:] = ALL_BITS
    wholes = np.repeat(np.arange(len(filed.n_parts)), filed.n_parts)
    found = []
    for looks in kind.asked(table):
        owners, hashes = (np.concatenate(side) for side in zip(*looks, strict=True))
        runs = np.concatenate([n * len(filed.n_parts) + wholes[of_look] for n, (of_look, _) in enumerate(looks)])
        found.append(HashQuery(hashes, owners + n_things, bits[owners], runs))
    return found


def _alike(kind: Kind, candidates: Sequence[_Rows]) -> pa.Table:
    """Filters candidates for those that are alike: a table of pairs."""
    same = [(a, b) for (_, a), (_, b) in candidates if kind.is_same(a, b)]
    sides = (("a", [a for a, _ in same]), ("b", [b for _, b in same]))
    return pa.table(
        {f"{side}.{name}": [row[name] for row in some] for side, some in sides for name in kind.names.names},
        schema=kind.pairs,
    )


def _paths(kinds: Mapping[str, _OfKind]) -> set[str]:
    return {run.file.path for of_kind in kinds.values() for run in of_kind.runs}


def _write_rows(files: Files, path: str, table: pa.Table) -> None:
    """Writes a Parquet file of small row groups."""
    files.write(path, parquet_bytes(table, row_group_size=GROUP_ROWS))


def _rows(files: Files, path: str, wanted: Int64) -> list[dict[str, Any]]:
    """Reads these rows (ascending) of a Parquet file of small row groups. Raises LostHashes."""
    try:
        file = RowFile(files, path)
        found: list[dict[str, Any]] = []
        for group in np.unique(wanted // GROUP_ROWS).tolist():
            here = wanted[wanted // GROUP_ROWS == group] - group * GROUP_ROWS
            found += file.read(group * GROUP_ROWS, GROUP_ROWS).take(pa.array(here)).to_pylist()
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        raise LostHashes(f"{files.url}/{path}: is damaged ({error})") from None
    return found
