"""The state of a run, read from its output directory alone: by stage, category, source and identity."""

from dataclasses import dataclass, field
from typing import TypedDict

from manifests.categories import category_name
from manifests.reasons import ReasonClass
from manifests.stages import TABLES_MADE, rank_of
from pipeline.crawl.round_files import read_states
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import RUN_FILE
from pipeline.query.streams import Streams, stream_tables
from pipeline.site.identities import IdentityState, PolitenessState
from pipeline.site.pauses import read_state

REJECTS = "SELECT stage, reason, count(*) FROM rejects_in_force GROUP BY ALL ORDER BY count(*) DESC, reason, stage"
WAITING = "SELECT count(*), coalesce(min(next_try_at), '') FROM rejects_in_force WHERE class = ?"
VIDEOS = "SELECT category_id, count(*) FROM videos GROUP BY ALL"
CLIPS = "SELECT category_id, count(*), sum(end_ms - start_ms)::BIGINT FROM clips GROUP BY ALL"
YIELDS = "SELECT source, query, count(*) FROM videos GROUP BY ALL"


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
    pace: str = ""  # days left
    unit: str = ""  # of the quotas


def read_status(store: Store) -> Status:
    """The current status. Only reads, so it also works while a run is in progress."""
    state = read_state(store)
    with stream_tables(store, REJECTS, WAITING, VIDEOS, CLIPS, YIELDS) as tables:
        ((waiting, next_try_at),) = tables.rows(WAITING, ReasonClass.LATER.value)
        return Status(
            rows={table: store.count_rows(table) for table in TABLES_MADE},
            units={stage: store.n_committed(stage) for stage in sorted(store.stages(), key=rank_of)},
            rejects=_rejects(tables),
            waiting=waiting,
            next_try_at=next_try_at,
            categories=_categories(store, tables),
            sources=_sources(store, tables),
            identities=state.get("identities", []),
            pace=_pace(state, store),
            unit=store.read_json(RUN_FILE)["identity"].get("balance.unit", "") if store.exists(RUN_FILE) else "",
        )


def _rejects(tables: Streams) -> dict[str, dict[str, int]]:
    """The number of rejects: stages in their order, the most frequent reason first."""
    counts: dict[str, dict[str, int]] = {}
    for stage, reason, n in tables.rows(REJECTS):
        counts.setdefault(stage, {})[reason] = n
    return {stage: counts[stage] for stage in sorted(counts, key=lambda stage: (rank_of(stage), stage))}


def _pace(identities: PolitenessState, store: Store) -> str:
    """The days to the quotas at this yield and the rates of the identities; "" if unknown."""
    if not identities.get("videos_per_hour"):
        return ""
    states = read_states(store)
    short = sum(max(0.0, state.quota - state.supply) for state in states)
    asked = store.count_rows("candidates")
    supply = sum(state.supply for state in states)
    if not short or not asked or not supply:
        return ""
    days = short * asked / supply / identities["videos_per_hour"] / 24
    return f"about {days:.1f} days of crawl to the quotas, at the yield so far"


def _categories(store: Store, tables: Streams) -> list[CategoryStatus]:
    states = {state.category_id: state for state in read_states(store)}
    videos = dict(tables.rows(VIDEOS))
    sums = {category_id: (n, ms) for category_id, n, ms in tables.rows(CLIPS)}
    return [
        {
            "category_id": category_id,
            "name": category_name(category_id),
            "videos": videos.get(category_id, 0),
            "clips": sums.get(category_id, (0, 0))[0],
            "hours": round(sums.get(category_id, (0, 0))[1] / 3_600_000, 3),
            "quota": states[category_id].quota if category_id in states else 0.0,
            "state": states[category_id].state if category_id in states else "",
            "why": states[category_id].why if category_id in states else "",
        }
        for category_id in sorted(videos.keys() | sums.keys() | states.keys())
    ]


def _sources(store: Store, tables: Streams) -> list[SourceStatus]:
    """Each source with its yield, best first."""
    kept = {(source, query): n for source, query, n in tables.rows(YIELDS)}
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
