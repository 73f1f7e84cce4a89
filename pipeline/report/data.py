"""The data that the report shows, read from an output directory alone: of any run, finished or in progress."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.categories import category_name
from manifests.errors import DamagedFile, UserError
from manifests.funnel import FunnelCounts
from manifests.parallel import side_by_side
from manifests.reasons import meaning_of
from manifests.rows import SourceRow
from manifests.shards import MANIFEST_NAME, PUBLISHED, head_of
from pipeline.balance.result import BALANCE_NAME, BalanceResult
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.query.funnel import FUNNEL, funnel_of
from pipeline.query.streams import Streams, stream_tables
from pipeline.report.clips import Clips, read_clips
from pipeline.report.tally import N

MOST_CHANNELS = 20
EXAMPLES = 3
"""Ids shown for each reason."""


LOSSES = """
SELECT category_id, reason, count(*) FROM selection GROUP BY ALL
UNION ALL
SELECT coalesce(wanted, -1), reason, count(*)
FROM rejects_in_force ANTI JOIN selection USING (video_id)
LEFT JOIN (
    SELECT video_id, min_by(wanted_category_id, (round, attempt, wanted_category_id)) AS wanted
    FROM candidates GROUP BY video_id
) USING (video_id)
WHERE clip_id = '' GROUP BY ALL
"""
"""Videos by category and reason, '' if kept. One that was rejected before its category was known counts for the
category that it was first chosen for.
"""
LOOKED_AT = """
SELECT source, query, count(*), count(*) FILTER (video_id IN (SELECT video_id FROM selection WHERE kept))
FROM (SELECT DISTINCT source, query, video_id FROM candidates) GROUP BY ALL
"""
"""By source and query: videos that were looked at, and those of them that are kept."""
EXAMPLE_IDS = f"""
SELECT stage, reason, min_by(name, drawn(name), {EXAMPLES}) FROM (
    SELECT stage, reason, CASE WHEN clip_id = '' THEN video_id ELSE clip_id END AS name FROM rejects_in_force
    UNION ALL SELECT 'media', reason, clip_id FROM packs WHERE status <> 'success'
    UNION ALL SELECT 'balance', reason, video_id FROM selection WHERE reason <> ''
) GROUP BY ALL
"""
"""By stage and reason: the ids that come first in the order of the draw."""
CALLED = "SELECT channel_id, max(channel) FROM videos WHERE channel <> '' AND list_contains(?, channel_id) GROUP BY ALL"
"""Names of these channels, where they are known."""
PROMISED = {
    unit: f"SELECT category_id, ({amount})::DOUBLE FROM clips GROUP BY ALL"
    for unit, amount in {
        "clips": "count(*)",
        "hours": "sum(end_ms - start_ms) / 3600000",
        "videos": "count(DISTINCT video_id)",
    }.items()
}
"""By unit: what all planned clips amount to in each category, including those of videos that were rejected later."""

TEXTS_READ = 1_000_000
"""Clips, more or less, whose sentences are compared; of larger sets those of videos that are evenly chosen."""
SAID_OFTEN = r"""
WITH chosen AS (SELECT video_id, text FROM clips WHERE hash(video_id) % ? = 0),
said AS (
    SELECT video_id, unnest(list_distinct([
        trim(regexp_replace(one, '[^\p{L}\p{N}'']+', ' ', 'g')) FOR one IN regexp_extract_all(lower(text), '[^.?!…]+')
    ])) AS sentence
    FROM chosen
)
SELECT sentence, count(*) FROM said WHERE sentence SIMILAR TO '(\S+ ){3,}\S+'
GROUP BY sentence HAVING count(DISTINCT video_id) >= 3 ORDER BY count(DISTINCT video_id) DESC, sentence LIMIT 12
"""
"""Sentences of four words or more that are said in three videos or more, whosever they are, each with the planned clips
that say it.
"""
TEXTS = "SELECT count(*) FROM clips WHERE hash(video_id) % ? = 0"
"""How many planned clips were read for them."""


@dataclass(frozen=True, slots=True)
class SourceYield:
    """What a query, channel or list yielded."""

    category: str
    source: str
    query: str
    listed: int
    looked_at: int
    kept: int
    state: str


@dataclass(frozen=True, slots=True)
class CategoryLoss:
    """Why videos of a category are not in the data set, most frequent reasons first."""

    category: str
    kept: int
    reasons: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """A manifest that was published here and is still kept."""

    created_at: str
    generation: int
    clips: int
    hours: float
    shards: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page but the facts of clips that only tables hold."""

    url: str
    seed: int
    """Draws the examples and the samples."""
    manifest: dict[str, Any]
    balance: BalanceResult | None
    funnel: FunnelCounts
    losses: tuple[CategoryLoss, ...]
    examples: dict[tuple[str, str], tuple[str, ...]]
    """By (stage, reason): some ids of videos or clips rejected with it."""
    said_often: dict[str, int]
    """Sentences that many videos say, and how many of `n_texts` planned clips say each."""
    n_texts: int
    promised: dict[int, float]
    """By category: the total of its planned clips, in the balance's unit; {} if nothing was planned."""
    sources: tuple[SourceYield, ...]
    channels: dict[str, str]
    """Names of the channels with the most clips, by id."""
    generations: tuple[Generation, ...]
    clips: Clips


def read_report_data(store: Store, seed: int = 0) -> ReportData:
    """Reads the directory. UserError if it contains no run at all. `seed` draws examples and samples."""
    if not store.names("commits") and not store.stages() and not store.exists(MANIFEST_NAME):
        raise UserError(f"{store.url}: no run has written here; give the output directory of one")
    where = f"{store.url}/{MANIFEST_NAME}"
    manifest = head_of(store.read(MANIFEST_NAME), where) if store.exists(MANIFEST_NAME) else {}
    balance = read_balance(store)
    clips = read_clips(store, seed)
    of_tables = _read_tables(store, balance, seed, clips)
    pa.default_memory_pool().release_unused()
    return ReportData(
        url=store.url,
        seed=seed,
        manifest=manifest,
        balance=balance,
        **of_tables,
        generations=read_generations(store),
        clips=clips,
    )


def read_generations(store: Store) -> tuple[Generation, ...]:
    """The manifests that are kept, in the order in which they were published."""
    paths = [f"{PUBLISHED}/{name}" for name in store.names(PUBLISHED) if name.endswith(".json")]
    heads = side_by_side(lambda path: head_of(store.read(path), f"{store.url}/{path}"), paths)
    found = []
    for head in heads:
        totals = head.get("totals", {})
        counts = int(totals.get("samples", 0)), float(totals.get("hours", 0)), int(totals.get("shards", 0))
        found.append(Generation(str(head.get("created_at", "")), int(head.get("generation", 0)), *counts))
    return tuple(sorted(found, key=lambda one: (one.generation, one.created_at, one.clips)))


def largest_channels(clips: Clips) -> list[tuple[str, int]]:
    """(id, clips) of the channels with the most clips."""
    order = [(N, "descending"), ("channel_id", "ascending")]
    ordered = clips.counts["channels"].sort_by(order).slice(0, MOST_CHANNELS)
    return list(zip(*(column.to_pylist() for column in ordered.columns), strict=True))


def _read_tables(store: Store, balance: BalanceResult | None, seed: int, clips: Clips) -> dict[str, Any]:
    """What the tables say."""
    promised = PROMISED[balance.unit if balance else "clips"]
    asked = (*FUNNEL, LOSSES, LOOKED_AT, EXAMPLE_IDS, promised, CALLED, SAID_OFTEN, TEXTS)
    with stream_tables(store, *asked, seed=seed) as tables:
        one_in = 1 + clips.n // TEXTS_READ
        return {
            "said_often": dict(tables.rows(SAID_OFTEN, one_in)),
            "n_texts": tables.rows(TEXTS, one_in)[0][0],
            "funnel": funnel_of(tables),
            "losses": category_losses(tables),
            "examples": examples_of_reasons(tables, read_tombstones(store)),
            "promised": dict(tables.rows(promised)),
            "sources": source_yields(store, tables),
            "channels": dict(tables.rows(CALLED, [channel for channel, _ in largest_channels(clips)])),
        }


def read_balance(store: Store) -> BalanceResult | None:
    """balance.json, or None if no balance has run. DamagedFile if it is not valid."""
    if not store.exists(BALANCE_NAME):
        return None
    try:
        return BalanceResult.of_document(store.read_json(BALANCE_NAME))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{store.url}/{BALANCE_NAME}: is not a balance ({error!r:.200}); restore it") from None


def category_losses(tables: Streams) -> tuple[CategoryLoss, ...]:
    """Why videos were left out, by category."""
    reasons: dict[int, Counter[str]] = {}
    kept: Counter[int] = Counter()
    for category_id, reason, n in tables.rows(LOSSES):
        if reason:
            reasons.setdefault(category_id, Counter())[reason] += n
        else:
            kept[category_id] += n
    in_order = sorted(reasons, key=lambda i: (i < 0, category_name(i)))
    return tuple(CategoryLoss(category_name(i), kept[i], _most_frequent(reasons[i])) for i in in_order)


def _most_frequent(counts: Counter[str]) -> tuple[tuple[str, str, int], ...]:
    """(reason, its meaning, count), largest count first."""
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple((reason, meaning_of(reason), count) for reason, count in in_order)


def source_yields(store: Store, tables: Streams) -> tuple[SourceYield, ...]:
    """The yield of each source, sorted by what was kept."""
    gave = {(source, query): (n, n_kept) for source, query, n, n_kept in tables.rows(LOOKED_AT)}
    latest = {(r["source"], r["query"]): r for r in store.read_table("sources").sort_by("round").to_pylist()}
    yields = [
        SourceYield(
            category=category_name(row["wanted_category_id"]),
            source=key[0],
            query=key[1],
            listed=row["n_listed"],
            looked_at=gave.get(key, (0, 0))[0],
            kept=gave.get(key, (0, 0))[1],
            state=_state(row),
        )
        for key, row in latest.items()
    ]
    return tuple(sorted(yields, key=lambda y: (-y.kept, -y.looked_at, y.source, y.query)))


def examples_of_reasons(tables: Streams, removed: Tombstones) -> dict[tuple[str, str], tuple[str, ...]]:
    """By (stage, reason): EXAMPLES ids, drawn by the seed, without those of removed videos. They are clip ids if clips
    were rejected.
    """
    return {
        (stage, reason): tuple(name for name in dict.fromkeys(names) if not removed.cover(name.partition(".")[0], ""))
        for stage, reason, names in tables.rows(EXAMPLE_IDS)
    }


def _state(row: SourceRow) -> str:
    if row["reason"]:
        return str(row["reason"])
    return "no more to list" if row["exhausted"] else "has more"
