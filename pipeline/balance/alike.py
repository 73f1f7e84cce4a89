"""Finds pairs that are alike among millions of things, new against old; its index is kept from plan to plan.

    alike/<what>/state.json                        which files count; replaced as a whole
    alike/<what>/<batch>/<kind>.parquet            things that were taken up together, and what is compared of them
                         <kind>.pairs.parquet      those of them that are like an earlier one
                         <kind>.<level>.<cell>.near  hashes, sorted (near_files.py): of one batch, or of 8, 64 …
                         taken.bin                 hashes of the ids of the videos that were taken up

Only the pairs and 8 bytes per video are in memory. The rest is in the output directory, since workers on any machine
search it, some cells each, and a restarted driver continues with it. All of it can be made again from the tables: if a
file is missing or damaged (`LostHashes`), `clear` and add everything again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from manifests.hashing import UInt64
from manifests.membership import are_in, hash_ids
from manifests.wrong_value import first_fault
from pipeline.balance.bands import HALF, LOW, Asked, Int64, Keys, bits_of, sorted_entries
from pipeline.balance.near_files import FORMAT, LostHashes, NearFile, cells_of, write_cells
from pipeline.balance.near_tasks import (
    PatientFiles,
    Spread,
    groups_in,
    merge_cells,
    search_cells,
    spans_of,
    spread_here,
)
from pipeline.engine.commits import READERS
from pipeline.engine.files import Files
from pipeline.engine.ranges import RowFile
from pipeline.outdir.remade import ALIKE, delete_folder, forget_alike

log = logging.getLogger("hdvila")

FAN_IN = 8
"""This many runs of one level are merged into one of the next."""
GROUP_ROWS = 256
"""Things per row group: of the old things only groups with one that a new one may be like are read."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing. `filed`, `asked`: the hashes by which a table's things are found, and by which they look for
    others, with row numbers as owners; `is_same`: whether two rows are alike. `names`: columns of the table of pairs.

    `first_only`: a thing is paired only with the first one that its hashes find; for kinds where all that agree are
    alike.
    """

    name: str
    max_distance: int
    filed: Callable[[pa.Table], Keys]
    asked: Callable[[pa.Table], Keys]
    is_same: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
    names: pa.Schema
    first_only: bool = False

    @property
    def pairs(self) -> pa.Schema:
        """The columns of the table of pairs."""
        return pa.schema([pa.field(f"{side}.{field.name}", field.type) for side in "ab" for field in self.names])


class _Run(BaseModel):
    level: int
    files: tuple[NearFile, ...]


class _OfKind(BaseModel):
    n_things: int = 0
    n_hashes: int = 0
    runs: tuple[_Run, ...] = ()


class _Batch(BaseModel):
    name: str
    first: dict[str, int]
    """The number of its first thing, by kind."""


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

    def are_taken(self, video_ids: pa.Array) -> NDArray[np.bool_]:
        """[N] which videos were taken up."""
        return are_in(self._taken, hash_ids(video_ids))

    def pairs(self, kind: str) -> pa.Table:
        """The pairs that are alike: columns a.<name>, b.<name>; a was taken up before b."""
        return pa.concat_tables([self._kinds[kind].pairs.empty_table(), *self._pairs.get(kind, [])])

    def add(self, things: Mapping[str, pa.Table], video_ids: pa.Array) -> None:
        """Takes up things (a table by kind) in their order, and records these videos as taken up. Raises LostHashes."""
        name = f"{len(self._state.batches):05d}-{uuid.uuid4().hex[:8]}"
        folder = f"{self._folder}/{name}"
        batch = _Batch(name=name, first={kind: self._of(kind).n_things for kind in self._kinds})
        changed, new_pairs = {}, {}
        for kind, table in things.items():
            _write_rows(self._files, f"{folder}/{kind}.parquet", table)
            changed[kind], new_pairs[kind] = self._take_up(self._kinds[kind], table, folder)
            self._files.write_table(f"{folder}/{kind}.pairs.parquet", new_pairs[kind])
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

    def go_on(self, start: Callable[[], object], take_up: Callable[[], object]) -> None:
        """Takes up what is new. If part of the index is lost, clears it and takes everything up again after `start`,
        which makes `take_up` begin at the beginning.
        """
        try:
            self.refresh()
            take_up()
        except LostHashes as error:
            log.warning("%s; everything is compared again from the beginning", error)
            self.clear()
            start()
            take_up()

    # search

    def _take_up(self, kind: Kind, table: pa.Table, folder: str) -> tuple[_OfKind, pa.Table]:
        known = self._of(kind.name)
        filed = kind.filed(table)
        bands = [sorted_entries(keys, filed.owners + known.n_things) for keys in filed.keys]
        file = write_cells(self._files, f"{folder}/{kind.name}.0.0.near", cells_of(bands))
        del bands
        runs = (*known.runs, _Run(level=0, files=(file,)))
        of_kind = _OfKind(
            n_things=known.n_things + table.num_rows, n_hashes=known.n_hashes + len(filed.owners), runs=runs
        )
        codes = self._search(kind, runs, self._asked(kind, table, filed.owners, known))
        if kind.first_only:
            codes = codes[np.unique(codes & LOW, return_index=True)[1]]
        pairs = np.stack([codes >> HALF, codes & LOW], axis=1)
        return of_kind, self._alike(kind, pairs, table, known.n_things)

    def _asked(self, kind: Kind, table: pa.Table, filed: Int64, known: _OfKind) -> list[Asked]:
        counts = np.bincount(filed, minlength=table.num_rows)
        bits = bits_of(known.n_hashes + np.cumsum(counts) - counts)
        asked = kind.asked(table)
        return [Asked.of(keys, asked.owners + known.n_things, bits[asked.owners]) for keys in asked.keys]

    def _search(self, kind: Kind, runs: Sequence[_Run], asked: Sequence[Asked]) -> Int64:
        n_bytes = sum(file.n_bytes for run in runs for file in run.files)
        work = partial(search_cells, PatientFiles(self._files), [run.files for run in runs], kind.max_distance)
        items = [(cells, [of_band.between(*groups_in(cells)) for of_band in asked]) for cells in spans_of(n_bytes)]
        found = [np.zeros(0, np.int64), *self._done(work, items)]
        return np.unique(np.concatenate(found))

    def _done(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self._spread(work, items) if len(items) > 1 else spread_here(work, items)

    def _merged(self, kind: str, of_kind: _OfKind, folder: str) -> _OfKind:
        """Merges the last runs of one level into a run of the next, where there are enough of them."""
        runs = list(of_kind.runs)
        while len(runs) >= FAN_IN and runs[-FAN_IN].level == runs[-1].level:
            some, level = runs[-FAN_IN:], runs[-1].level + 1
            n_bytes = sum(file.n_bytes for run in some for file in run.files)
            path = f"{folder}/{kind}.{level}"
            work = partial(merge_cells, PatientFiles(self._files), [run.files for run in some], path)
            runs[-FAN_IN:] = [_Run(level=level, files=tuple(self._done(work, spans_of(n_bytes))))]
        return of_kind.model_copy(update={"runs": tuple(runs)})

    # pairs that are alike

    def _alike(self, kind: Kind, pairs: Int64, table: pa.Table, first: int) -> pa.Table:
        """Filters pairs [N, 2] of numbers for those that are alike. `table`: the new things, numbered from `first`."""
        rows = self._old_rows(kind, np.unique(pairs[pairs < first]))
        new = np.unique(pairs[pairs >= first])
        rows.update(zip(new.tolist(), table.take(pa.array(new - first)).to_pylist(), strict=True))
        same = [(rows[a], rows[b]) for a, b in pairs.tolist() if kind.is_same(rows[a], rows[b])]
        sides = (("a", [a for a, _ in same]), ("b", [b for _, b in same]))
        return pa.table(
            {f"{side}.{name}": [row[name] for row in some] for side, some in sides for name in kind.names.names},
            schema=kind.pairs,
        )

    def _old_rows(self, kind: Kind, numbers: Int64) -> dict[int, dict[str, Any]]:
        batches = self._state.batches
        firsts = np.array([batch.first[kind.name] for batch in batches], np.int64)
        of_batch = np.searchsorted(firsts, numbers, side="right") - 1
        asked = [(batches[i].name, int(firsts[i]), numbers[of_batch == i]) for i in np.unique(of_batch).tolist()]

        def read(one: tuple[str, int, Int64]) -> dict[int, dict[str, Any]]:
            name, first, wanted = one
            found = _rows(self._files, f"{self._folder}/{name}/{kind.name}.parquet", wanted - first)
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
        try:
            state = _State.model_validate_json(data) if data else self._state
        except ValidationError as error:
            said = first_fault(_State, error)
            raise LostHashes(f"{self._files.url}/{self._folder}/state.json: is damaged ({said})") from None
        if state.settings != self._settings:
            raise LostHashes(f"{self._files.url}/{self._folder}: was made with other settings")
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
                    tables[kind] = pq.read_table(file)
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


def _paths(kinds: Mapping[str, _OfKind]) -> set[str]:
    return {file.path for of_kind in kinds.values() for run in of_kind.runs for file in run.files}


def _write_rows(files: Files, path: str, table: pa.Table) -> None:
    """Writes a Parquet file of small row groups."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=GROUP_ROWS)
    files.write(path, sink.getvalue().to_pybytes())


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
