"""The stage that compares a batch of videos with all that came before it: by pictures, by words, or by sentences.

In:  rows of `packs`, `transcripts` or `clips` of the batch's videos, and the index of earlier batches in `alike/`
Out: table `compared`, a row per video, table `matches`, a row per pair, and the batch's part of the index

Its units come in three turns, each once those before are committed: `<batch>` makes the items of the batch,
`<batch>-<column>` looks through some columns of the index and adds the batch to them, `<batch>-matches` compares what
they found in full. So the caller runs the stage three times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.errors import DamagedFile
from manifests.membership import Ids
from manifests.schema import TABLES
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from pipeline.likeness.index import (
    Kind,
    blocks_of,
    look_through,
    n_held,
    near_pairs,
    read_whole,
    tasks_of,
    write_items,
    write_plain,
)

MATCHES = "matches"


@dataclass(frozen=True, slots=True)
class LikenessStage:
    """See the module. `videos`: those of the batch, in order, with the columns that its kind wants of them and `part`,
    the name of a part with rows of theirs; a row for each part.
    """

    kind: Kind
    batch: int
    videos: pa.Table = field(compare=False)
    is_begun: bool = False
    """Whether its items are committed, but not all that follows."""
    resources: Resources = Resources(time_limit_s=4 * 3600.0)

    @property
    def name(self) -> str:
        """By what it compares."""
        return self.kind.stage

    @property
    def has_work(self) -> bool:
        """Whether there is anything to compare."""
        return self.is_begun or self.videos.num_rows > 0

    @property
    def _base(self) -> str:
        return f"{self.batch:05d}"

    def units(self, store: Store) -> list[Unit]:
        """The units of the turn that it is."""
        if not store.committed_of(self.name, [self._base]):
            return [Unit(self._base)] if self.videos.num_rows else []
        facts: Mapping[str, Any] = store.commit_facts(self.name, self._base)
        if "n_hashes" not in facts:  # it was rejected, which the caller notices
            return []
        tasks = tasks_of(self.kind.n_columns, int(facts["n_hashes"]))
        looks = [Unit(f"{self._base}-{columns[0]}", columns) for columns in tasks]
        if len(store.committed_of(self.name, [unit.name for unit in looks])) < len(looks):
            return looks
        return [Unit(match_unit(self.batch), [unit.payload[0] for unit in looks])]

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes the unit of whatever turn it is."""
        if unit.name == self._base:
            return self._items(context)
        if unit.name == match_unit(self.batch):
            pairs = near_pairs(context.store, self.kind, self.batch, unit.payload)
            return Output(rows={MATCHES: self.kind.matches(pairs)})
        return self._looked_through(unit.payload, context)

    def _before(self, store: Store) -> tuple[int, int]:
        """How many items and hashes earlier batches have."""
        if not self.batch:
            return 0, 0
        facts: Mapping[str, Any] = store.commit_facts(self.name, f"{self.batch - 1:05d}")
        return int(facts["n_items"]), int(facts["n_hashes"])

    def _items(self, context: Context) -> Output:
        items = self.kind.items(self._rows(context.store))
        local = context.scratch / "items.parquet"
        write_items(items, local)
        filed = self.kind.filed(items)
        before = self._before(context.store)
        facts = {"n_items": before[0] + len(filed.counts), "n_hashes": before[1] + filed.hashes.shape[1]}
        ids = pc.unique(self.videos.column("video_id")).to_pylist()
        rows = [{"kind": self.kind.name, "batch": self.batch, "video_id": video_id} for video_id in ids]
        self._delete_covered(context.store)
        return Output(rows={"compared": rows}, files={self.kind.items_path(self.batch): local}, facts=facts)

    def _rows(self, store: Store) -> pa.Table:
        """The rows of the batch's videos, in their order and that of their clips, with what is known of the videos."""
        kind = self.kind
        schema = pa.schema([TABLES[kind.table].field(name) for name in kind.columns])
        names = pc.unique(self.videos.column("part")).to_pylist()
        named = [name.removesuffix(".parquet").split("-", 2) for name in names]
        parts = store.located([Part(stage, unit, f"{kind.table}/") for _, stage, unit in named])
        if lost := [unit for _, stage, unit in named if (stage, unit) not in parts]:
            raise DamagedFile(
                f"{store.url}/{kind.table}: the rows of {len(lost)} units are gone, such as {lost[0]}; "
                f"restore them from a copy, or run with --redo {named[0][1]}"
            )
        rows = pa.concat_tables(
            [schema.empty_table(), *(rows for _, rows in read_many(store, [*parts.values()], schema))]
        )
        videos = Ids.of(self.videos.column("video_id"))
        row = videos.rows(rows.column("video_id"))
        rows, row = rows.filter(pa.array(row >= 0)), row[row >= 0]
        for name in kind.of_videos:
            rows = rows.append_column(name, self.videos.column(name).take(pa.array(row)))
        order = ["order", *(["n"] if "n" in kind.columns else [])]
        return rows.append_column("order", pa.array(row)).sort_by([(name, "ascending") for name in order])

    def _looked_through(self, columns: range, context: Context) -> Output:
        kind, store, batch = self.kind, context.store, self.batch
        items = read_whole(store, kind.items_path(batch))
        block = (batch + 1 - n_held(batch + 1), n_held(batch + 1))
        files, found = {}, []
        for column in columns:
            near, hashes = look_through(store, kind, batch, items, self._before(store), column)
            found.append(near)
            files[kind.column_path(block, column)] = local = context.scratch / f"{column}.parquet"
            write_plain(hashes, local)
        files[kind.near_path(batch, columns[0])] = local = context.scratch / "near.parquet"
        near = pa.concat_tables(found)
        write_plain(near.group_by(near.column_names).aggregate([]).select(near.column_names), local)
        return Output(files=files)

    def _delete_covered(self, store: Store) -> None:
        """Deletes what is not needed any more since the last batch was compared: what was near, and its own blocks."""
        kind = self.kind
        if not self.batch:
            return
        for column in range(kind.n_columns):
            store.delete(kind.near_path(self.batch - 1, column))
            for block in {*blocks_of(self.batch - 1)} - {*blocks_of(self.batch)}:
                store.delete(kind.column_path(block, column))


def match_unit(batch: int) -> str:
    """The name of the last unit of a batch."""
    return f"{batch:05d}-matches"
