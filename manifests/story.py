"""Where one video went: its way through the tables of an output directory, in words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from manifests.clip_status import ClipStatus
from manifests.funnel import Tables, read_selection, rejects_in_force
from manifests.reasons import meaning_of
from manifests.rows import RejectRow
from manifests.stages import rank_of


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a video, in the order of the road."""

    stage: str
    what: str


def where_did_it_go(tables: Tables, video_id: str) -> list[Step]:
    """A video's way through the tables, its rejects included; [] where no table knows it."""
    steps = [*_story(tables, video_id)]
    rejects = tables.read_rejects()
    in_force = {(r["stage"], r["clip_id"]) for r in rejects_in_force(tables).to_pylist() if r["video_id"] == video_id}
    mine = rejects.filter(pc.equal(rejects.column("video_id"), video_id)).sort_by("at").to_pylist()
    steps += [_reject_step(r, (r["stage"], r["clip_id"]) in in_force) for r in mine if not r["clip_id"]]
    steps += _clip_rejects(r for r in mine if r["clip_id"])
    return sorted(steps, key=lambda step: rank_of(step.stage))


def _story(tables: Tables, video_id: str) -> Iterator[Step]:
    for row in _rows(tables, "listings", video_id, ["video_id", "source", "query", "position", "round"]):
        yield Step("list", f"listed by {row['source']} {row['query']!r}, place {row['position']}, round {row['round']}")
    for row in _rows(tables, "videos", video_id, ["video_id", "title", "category", "channel_id", "duration_s"]):
        yield Step("extract", f"{row['title']!r}, {row['category']}, {row['duration_s']:.0f} s, {row['channel_id']}")
    for row in _rows(tables, "transcripts", video_id, ["video_id", "kind", "language", "n_words"]):
        yield Step("transcripts", f"{row['kind']} captions in {row['language']}, {row['n_words']} words")
    if clips := _rows(tables, "clips", video_id, ["video_id", "n"]):
        yield Step("clips", f"{len(clips)} clips planned")
    packs = _rows(tables, "packs", video_id, ["video_id", "n", "status", "reason"])
    if packs:
        failed: dict[str, int] = {}
        for row in packs:
            if row["status"] != ClipStatus.SUCCESS:
                failed[row["reason"]] = failed.get(row["reason"], 0) + 1
        lost = "".join(f", {count} {reason}" for reason, count in sorted(failed.items()))
        yield Step("media", f"{len(packs) - sum(failed.values())} of {len(packs)} clips made{lost}")
    yield from _selection_step(tables, video_id)


def _selection_step(tables: Tables, video_id: str) -> Iterator[Step]:
    selection = read_selection(tables)
    if selection is None:
        return
    for row in selection.filter(pc.equal(selection.column("video_id"), video_id)).to_pylist():
        place = f"rank {row['rank']} of its category"
        if row["kept"]:
            yield Step("balance", f"{place}: {len(row['clips_kept'])} of {row['n_clips']} clips kept")
        else:
            yield Step("balance", f"{place}: left out, {_meaning(row['reason'])}")


def _rows(tables: Tables, table: str, video_id: str, columns: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in tables.parts(table):
        read = tables.read_part(part, columns)
        rows += read.filter(pc.equal(read.column("video_id"), video_id)).to_pylist()
    return rows


def _reject_step(row: RejectRow, in_force: bool) -> Step:
    detail = f" ({row['detail']})" if row["detail"] else ""
    again = f", to be tried again at {row['next_try_at']}" if row["next_try_at"] and in_force else ""
    void = "" if in_force else ", void since: a later attempt decided"
    return Step(row["stage"], f"turned away at {row['at']}: {_meaning(row['reason'])}{detail}{again}{void}")


def _clip_rejects(rows: Iterable[RejectRow]) -> list[Step]:
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        counts[row["stage"], row["reason"]] = counts.get((row["stage"], row["reason"]), 0) + 1
    return [Step(stage, f"{count} clips turned away: {_meaning(reason)}") for (stage, reason), count in counts.items()]


def _meaning(reason: str) -> str:
    """A reason with its one line for people."""
    meaning = meaning_of(reason)
    return f"{reason} ({meaning})" if meaning else reason
