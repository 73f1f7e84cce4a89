"""The state of a run, read from its output directory alone: by stage, category, source and identity."""

from dataclasses import dataclass, field
from typing import TypedDict

import pyarrow.compute as pc

from manifests.categories import category_name
from manifests.funnel import by_stage_and_reason, rejects_in_force
from manifests.reasons import ReasonClass
from manifests.stages import TABLES_MADE, rank_of
from pipeline.crawl.round_files import read_states
from pipeline.engine.store.store import Store
from pipeline.site.identities import IdentityState, PolitenessState
from pipeline.site.pauses import read_state


class CategoryStatus(TypedDict):
    """A category: what the crawl yielded for it, and the total of its planned clips."""

    category_id: int
    name: str
    videos: int
    clips: int
    hours: float
    quota: float
    state: str
    why: str


class SourceStatus(TypedDict):
    """A query, channel or list with its yield."""

    source: str
    query: str
    listed: int
    exhausted: bool
    reason: str
    kept: int


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` shows. Every value can be written as JSON."""

    rows: dict[str, int]  # by table
    units: dict[str, int]  # committed, by stage
    rejects: dict[str, dict[str, int]]  # those in force: by stage, then reason
    waiting: int  # of these, of class later
    next_try_at: str
    categories: list[CategoryStatus]
    sources: list[SourceStatus]
    identities: list[IdentityState] = field(default_factory=list)
    pace: str = ""  # videos an hour, the limiting setting, days left


def read_status(store: Store) -> Status:
    """The current status. Only reads, so it also works while a run is in progress."""
    rejects = rejects_in_force(store)
    waiting = rejects.filter(pc.field("class") == ReasonClass.LATER.value)
    state = read_state(store)
    return Status(
        rows={table: store.count_rows(table) for table in TABLES_MADE},
        units={stage: store.n_committed(stage) for stage in sorted(store.stages(), key=rank_of)},
        rejects=by_stage_and_reason(rejects),
        waiting=waiting.num_rows,
        next_try_at=pc.min(waiting["next_try_at"]).as_py() or "",
        categories=_categories(store),
        sources=_sources(store),
        identities=state.get("identities", []),
        pace=_pace(state, store),
    )


def _pace(identities: PolitenessState, store: Store) -> str:
    """Videos an hour, the limiting setting, and the days to the quotas at this yield; "" if unknown."""
    if not identities.get("videos_per_hour"):
        return ""
    text = f"{identities['videos_per_hour']:.0f} videos an hour; {identities['binds']} binds"
    states = read_states(store)
    short = sum(max(0.0, state.quota - state.supply) for state in states)
    asked = store.count_rows("candidates")
    supply = sum(state.supply for state in states)
    if not short or not asked or not supply:
        return text
    days = short * asked / supply / identities["videos_per_hour"] / 24
    return f"{text}; about {days:.1f} days of crawl to the quotas, at the yield so far"


def _categories(store: Store) -> list[CategoryStatus]:
    states = {state.category_id: state for state in read_states(store)}
    counted = pc.value_counts(store.read_table("videos", ["category_id"]).column("category_id")).to_pylist()
    videos = {row["values"]: row["counts"] for row in counted}
    clips = store.read_table("clips", ["category_id", "start_ms", "end_ms"])
    clips = clips.append_column("ms", pc.subtract(clips.column("end_ms"), clips.column("start_ms")))
    sums = {
        row["category_id"]: row
        for row in clips.group_by("category_id").aggregate([("ms", "sum"), ("ms", "count")]).to_pylist()
    }
    return [
        {
            "category_id": category_id,
            "name": category_name(category_id),
            "videos": videos.get(category_id, 0),
            "clips": sums.get(category_id, {}).get("ms_count", 0),
            "hours": round(sums.get(category_id, {}).get("ms_sum", 0) / 3_600_000, 3),
            "quota": states[category_id].quota if category_id in states else 0.0,
            "state": states[category_id].state if category_id in states else "",
            "why": states[category_id].why if category_id in states else "",
        }
        for category_id in sorted(videos.keys() | sums.keys() | states.keys())
    ]


def _sources(store: Store) -> list[SourceStatus]:
    """Each source with its yield, best first."""
    columns = ["source", "query"]
    counted = store.read_table("videos", columns).group_by(columns).aggregate([([], "count_all")])
    kept = {(row["source"], row["query"]): row["count_all"] for row in counted.to_pylist()}
    statuses: dict[tuple[str, str], SourceStatus] = {}
    for row in store.read_table("sources").to_pylist():
        name, query = row["source"], row["query"]
        source = statuses.setdefault(
            (name, query),
            {
                "source": name,
                "query": query,
                "listed": 0,
                "exhausted": False,
                "reason": "",
                "kept": kept.get((name, query), 0),
            },
        )
        listed = source["listed"]
        source["listed"] = listed + row["n_listed"] if row["cursor"] else max(listed, row["n_listed"])
        source["exhausted"] = source["exhausted"] or row["exhausted"]
        source["reason"] = row["reason"]
    return sorted(
        statuses.values(), key=lambda row: (-row["kept"] / max(1, row["listed"]), row["source"], row["query"])
    )
