"""Tables that stream into DuckDB: only what is named, and the same answer however they come."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manifests.errors import DamagedFile
from manifests.schema import REJECTS, SELECTION, TABLES
from pipeline.engine.store.store import Store
from pipeline.query import streams
from pipeline.query.catalogue import VIEWS, words_of
from pipeline.query.funnel import FUNNEL
from pipeline.query.streams import stream_tables
from pipeline.report import data, status
from tests.pipeline.engine.merges import fill
from tests.pipeline.query.worlds import InMemory, fill_row

N = 600
OF_ROWS_THAT_COUNT = [view for view, text in VIEWS.items() if "part" in words_of(text)]
"""Views that ask which row was written last: only `sql`'s file knows."""
QUESTIONS = (
    *FUNNEL, data.LOSSES, data.LOOKED_AT, data.EXAMPLE_IDS, *data.PROMISED.values(),
    status.REJECTS, status.VIDEOS, status.CLIPS, status.YIELDS,
    *(f"SELECT * FROM {view}" for view in VIEWS if view not in OF_ROWS_THAT_COUNT),
)  # fmt: skip


def a_crawl() -> dict[str, pa.Table]:
    """N candidates that end in many ways."""
    ids = [f"v{i:05d}" for i in range(N)]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in (*TABLES, "rejects", "selection")}
    for i, video in enumerate(ids):
        rows["listings"].append({"video_id": video})
        found_by = {"source": "search", "query": f"q{i % 7}"}
        rows["candidates"].append({"video_id": video, "wanted_category_id": i % 3, **found_by})
        if i % 5 == 0:
            times = [("rate_limited", "1"), ("private", "2")][: 1 + i % 2]
            rows["rejects"] += [{"stage": "extract", "video_id": video, "reason": r, "at": at} for r, at in times]
            if i % 10:
                continue
        rows["videos"].append({"video_id": video, "category_id": i % 4, **found_by})
        rows["transcripts"].append({"video_id": video})
        clips = [{"video_id": video, "clip_id": f"{video}.{k}", "n": k, "end_ms": 900 + i} for k in range(i % 6)]
        rows["clips"] += [{**clip, "category_id": i % 4} for clip in clips]
        rows["rejects"] += [
            {"stage": "clips", "video_id": video, "clip_id": f"{video}.{k}", "reason": "too_few_words", "at": "1"}
            for k in range(4, 7)
        ]
        if i % 3:
            kinds = [("success", ""), ("failed", "silent"), ("success", "")]
            made = [{**clip, **dict(zip(("status", "reason"), kinds[clip["n"] % 3], strict=True))} for clip in clips]
            rows["packs"] += made
            kept = [clip["n"] for clip in clips if clip["n"] % 3 == 0]
            reason = "" if kept and i % 4 else "not_needed" if i % 2 else "silent"
            rows["selection"].append(
                {"video_id": video, "category_id": i % 4, "kept": not reason, "reason": reason, "n_clips": len(kept),
                 "clips_kept": [] if reason else kept}
            )  # fmt: skip
    schemas = {**TABLES, "rejects": REJECTS, "selection": SELECTION}
    return {
        table: pa.Table.from_pylist([fill_row(schemas[table], **row) for row in of_table], schema=schemas[table])
        for table, of_table in rows.items()
    }


def several(tables: dict[str, pa.Table], n: int) -> dict[str, pa.Table]:
    """As many such crawls in one."""

    def other(table: pa.Table, k: int) -> pa.Table:
        for name in {"video_id", "clip_id"} & set(table.column_names):
            ids = table.column(name)
            ids = pc.if_else(pc.equal(ids, ""), "", pc.binary_join_element_wise(str(k), ids, "-"))
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), ids)
        return table

    return {name: pa.concat_tables([other(table, k) for k in range(n)]) for name, table in tables.items()}


def answers(tables: dict[str, pa.Table], size: int) -> list[list[tuple[Any, ...]]]:
    with stream_tables(InMemory(tables, size), *QUESTIONS, seed=5) as streamed:
        return [sorted(streamed.rows(text), key=repr) for text in QUESTIONS]


def with_more(connect: Any, more: dict[str, Any], path: str, *, config: dict[str, Any], **others: Any) -> Any:
    """Connects with more settings."""
    return connect(path, config={**config, **more}, **others)


def test_answers_depend_neither_on_threads_nor_on_order_nor_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = several(a_crawl(), 30)
    backward = {name: table.take(pa.array(range(table.num_rows), pa.int64())[::-1]) for name, table in forward.items()}
    wanted = answers(forward, 5000)
    assert all(wanted)
    connect = duckdb.connect
    for threads, memory, tables, size in (
        (8, "1GB", forward, 999),
        (1, "60MB", backward, 5000),
        (2, "90MB", backward, 1_000_000),
    ):
        of_threads = {"threads": str(threads)}
        monkeypatch.setattr(streams, "MEMORY", memory)
        monkeypatch.setattr(duckdb, "connect", partial(with_more, connect, of_threads))
        assert answers(tables, size) == wanted, (threads, memory, size)


def test_only_columns_that_are_named_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    fill(store, ["u1", "u2"])
    read: dict[str, set[str]] = {}
    whole = Store.read_runs

    def noted(self: Store, table: str, columns: list[str]) -> Iterator[pa.Table]:
        read.setdefault(table, set()).update(columns)
        return whole(self, table, columns)

    monkeypatch.setattr(Store, "read_runs", noted)
    text = "SELECT title, count(*) FROM clips JOIN videos USING (video_id) GROUP BY ALL ORDER BY ALL"
    with stream_tables(store, text) as tables:
        assert [n for _, n in tables.rows(text)] == [2, 1, 2, 1]
    assert read == {"clips": {"video_id"}, "videos": {"video_id", "title"}}


def test_a_damaged_file_is_told_as_everywhere(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fill(store, ["u1"])
    (part,) = store.parts("clips")
    Path(store.path(part.path)).write_bytes(b"no Parquet")
    text = "SELECT count(clip_id) FROM clips"
    with stream_tables(store, text) as tables, pytest.raises(DamagedFile, match="is not a Parquet table"):
        tables.rows(text)


def test_a_draw_is_the_seeds(tmp_path: Path) -> None:
    drawn = "SELECT min_by(t, drawn(t), 3) FROM (SELECT 'x' || range AS t FROM range(1000))"
    seen = []
    for seed in (1, 1, 2):
        with stream_tables(Store(str(tmp_path)), drawn, seed=seed) as tables:
            seen.append(tables.rows(drawn))
    assert seen[0] == seen[1] != seen[2]
