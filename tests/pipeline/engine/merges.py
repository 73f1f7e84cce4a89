"""Units of every kind, and merges of all that is there, for tests of what merges must not change."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hdvila_testing.rows import a_clip_row, a_video_row
from pipeline.engine.store.delete_merged import sweep_segments
from pipeline.engine.store.lookup import ids_of_unit
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject

SIZES = MergeSizes(n_units=3, fan_in=2, grace_s=0)


def make(store: Store, unit: str, version: int = 0) -> dict[str, Any]:
    """What a unit writes: two videos, three clips, and a reject where its number is even; the facts to commit."""
    videos = [a_video_row(f"{unit}-{i}", title=f"{unit} {i} version {version}") for i in range(2)]
    clips = [a_clip_row(f"{unit}-{i % 2}", i, i * 1000, i * 1000 + 900) for i in range(3)]
    token = f"v{version}"
    parts = {
        "videos": store.write_part("videos", "making", unit, videos, token),
        "clips": store.write_part("clips", "making", unit, clips, token),
    }
    facts: dict[str, Any] = {"rows": {"videos": 2, "clips": 3}, "rejects": {}, "seconds": 1.0, "version": version}
    names = [*(f"{unit}-{i}" for i in range(2)), f"{unit}-x"]
    read = {"all": pa.table({"video_id": names})}
    if int(unit[1:]) % 2 == 0:
        row = reject_row("making", _REJECT, 1) | {"video_id": f"{unit}-x", "at": "2026-01-01T00:00:00+00:00"}
        parts["rejects/making"] = store.write_rejects("making", unit, [row], token)
        facts["rejects"] = {"private": 1}
    return facts | {"parts": parts, "ids": ids_of_unit(read)}


def _reject() -> Reject:
    from manifests.reasons import Reason

    return Reject(Reason.PRIVATE, "x")


_REJECT = _reject()


def fill(store: Store, units: list[str], *, a_group: int = 2, version: int = 0) -> None:
    for begin in range(0, len(units), a_group):
        store.commit_all("making", {unit: make(store, unit, version) for unit in units[begin : begin + a_group]})


def said(store: Store) -> dict[str, Any]:
    """All that readers get."""
    facts = {unit: (its["version"], its["rows"]) for unit, its in store.all_commit_facts("making")}
    tables = {table: store.read_table(table) for table in ("videos", "clips")}
    parts = [(part.stage, part.unit, store.read_part(part, ["text", "clip_id"])) for part in store.parts("clips")]
    narrow = store.read_table("clips", ["clip_id", "start_ms"])
    return {"facts": facts, **tables, "rejects": store.read_rejects(), "parts": parts, "narrow": narrow}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    tables = all(a[name].equals(b[name]) for name in ("videos", "clips", "rejects", "narrow"))
    parts = [(s, u, t.to_pylist()) for s, u, t in a["parts"]] == [(s, u, t.to_pylist()) for s, u, t in b["parts"]]
    return tables and parts and a["facts"] == b["facts"]


def merge_all(store: Store, sizes: MergeSizes = SIZES) -> int:
    n_merges = 0
    sweep_segments(store, sizes.grace_s)
    while job := plan_merge(store, sizes):
        assert install(store, job, write_segment(store, job))
        sweep_segments(store, sizes.grace_s)
        n_merges += 1
    return n_merges


UNITS = [f"u{i}" for i in range(13)]
