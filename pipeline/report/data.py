"""The data that the report shows, read from an output directory alone: of any run, finished or in progress."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.categories import category_name
from manifests.census import Census
from manifests.clip_status import is_success
from manifests.errors import DamagedFile, UserError
from manifests.funnel import FunnelCounts, funnel, read_selection
from manifests.hashing import hash_texts
from manifests.reasons import meaning_of
from manifests.rows import SourceRow
from manifests.shards import MANIFEST_NAME, head_of
from pipeline.balance.result import BALANCE_NAME, BalanceResult
from pipeline.engine.store import Store
from pipeline.report.clips import Clips, read_clips

NO_SAMPLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What a damaged sample raises: the page omits the sample, and `verify` says what is wrong with it."""
EXAMPLES = 3
"""Ids shown for each reason."""


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
    """Why videos of one category are not in the data set, most frequent reasons first."""

    category: str
    kept: int
    reasons: tuple[tuple[str, str, int], ...]


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
    promised: dict[int, float]
    """By category: the total of its planned clips, in the balance's unit; {} if nothing was planned."""
    sources: tuple[SourceYield, ...]
    clips: Clips


def read_report_data(store: Store, seed: int = 0) -> ReportData:
    """Reads the directory. UserError if it contains no run at all. `seed` draws examples and samples."""
    if not store.names("commits") and not store.stages() and not store.exists(MANIFEST_NAME):
        raise UserError(f"{store.url}: no run has written here; give the output directory of one")
    where = f"{store.url}/{MANIFEST_NAME}"
    manifest = head_of(store.read(MANIFEST_NAME), where) if store.exists(MANIFEST_NAME) else {}
    balance = read_balance(store)
    census = Census(store)
    return ReportData(
        url=store.url,
        seed=seed,
        manifest=manifest,
        balance=balance,
        funnel=funnel(store, census),
        losses=category_losses(store, census.in_force()),
        examples=examples_of_reasons(store, census.in_force(), seed),
        promised=promised_by_category(store, balance.unit if balance else "clips"),
        sources=source_yields(store),
        clips=read_clips(store, seed),
    )


def read_balance(store: Store) -> BalanceResult | None:
    """balance.json, or None if no balance has run. DamagedFile if it is not valid."""
    if not store.exists(BALANCE_NAME):
        return None
    try:
        return BalanceResult.of_document(store.read_json(BALANCE_NAME))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{store.url}/{BALANCE_NAME}: is not a balance ({error!r}); restore it") from None


def category_losses(store: Store, rejects: pa.Table) -> tuple[CategoryLoss, ...]:
    """Why videos were left out, by category. Videos rejected before their category was known count for the category
    that was searched for.
    """
    reasons: dict[int, Counter[str]] = {}
    kept: Counter[int] = Counter()
    selection = read_selection(store, ["video_id", "category_id", "kept", "reason"])
    known = pa.chunked_array([], pa.string())
    if selection is not None:
        known = selection.column("video_id")
        for row in selection.group_by(["category_id", "reason"]).aggregate([("video_id", "count")]).to_pylist():
            if row["reason"]:
                reasons.setdefault(row["category_id"], Counter())[row["reason"]] += row["video_id_count"]
            else:
                kept[row["category_id"]] += row["video_id_count"]
    for category_id, reason in _lost_before(store, rejects, known):
        reasons.setdefault(category_id, Counter())[reason] += 1
    in_order = sorted(reasons, key=lambda i: (i < 0, category_name(i)))
    return tuple(CategoryLoss(category_name(i), kept[i], _most_frequent(reasons[i])) for i in in_order)


def _most_frequent(counts: Counter[str]) -> tuple[tuple[str, str, int], ...]:
    """(reason, its meaning, count), largest count first."""
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple((reason, meaning_of(reason), count) for reason, count in in_order)


def _lost_before(store: Store, rejects: pa.Table, known: pa.ChunkedArray) -> list[tuple[int, str]]:
    """(category, reason) of rejected videos that are not in the selection."""
    whole = rejects.filter(pc.equal(rejects.column("clip_id"), ""))
    whole = whole.filter(pc.invert(pc.is_in(whole.column("video_id"), value_set=known.combine_chunks())))
    asked = store.read_table("candidates", ["video_id", "wanted_category_id"])
    row = pc.index_in(whole.column("video_id"), value_set=asked.column("video_id").combine_chunks())
    category = pc.fill_null(asked.column("wanted_category_id").take(row), -1)
    return list(zip(category.to_pylist(), whole.column("reason").to_pylist(), strict=True))


def source_yields(store: Store) -> tuple[SourceYield, ...]:
    """The yield of each source, sorted by what was kept."""
    asked = store.read_table("candidates", ["video_id", "source", "query"])
    selection = read_selection(store, ["video_id", "kept"])
    kept_ids = pa.array([], pa.string())
    if selection is not None:
        kept_ids = selection.filter(selection.column("kept")).column("video_id").combine_chunks()
    is_kept = pc.is_in(asked.column("video_id"), value_set=kept_ids).cast(pa.int64())
    unique = asked.append_column("kept", is_kept).group_by(["video_id", "source", "query"]).aggregate([("kept", "max")])
    counts = unique.group_by(["source", "query"]).aggregate([("video_id", "count"), ("kept_max", "sum")])
    gave = {(r["source"], r["query"]): (r["video_id_count"], r["kept_max_sum"]) for r in counts.to_pylist()}
    latest = {(r["source"], r["query"]): r for r in store.read_table("sources").sort_by("round").to_pylist()}
    found = [
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
    return tuple(sorted(found, key=lambda y: (-y.kept, -y.looked_at, y.source, y.query)))


def examples_of_reasons(store: Store, rejects: pa.Table, seed: int = 0) -> dict[tuple[str, str], tuple[str, ...]]:
    """By (stage, reason): EXAMPLES ids, drawn by the seed. They are clip ids if clips were rejected."""
    tables = [rejects.select(["stage", "reason", "video_id", "clip_id"])]
    packs = store.read_table("packs", ["status", "reason", "video_id", "clip_id"])
    failed = packs.filter(pc.invert(is_success(packs.column("status")))).drop_columns(["status"])
    tables.append(failed.append_column("stage", pa.array(["media"] * failed.num_rows, pa.string())))
    selection = read_selection(store, ["video_id", "reason"])
    if selection is not None:
        out = selection.filter(pc.not_equal(selection.column("reason"), ""))
        blank = {
            name: pa.array([text] * out.num_rows, pa.string()) for name, text in (("clip_id", ""), ("stage", "balance"))
        }
        tables.append(out.append_column("clip_id", blank["clip_id"]).append_column("stage", blank["stage"]))
    rows = pa.concat_tables([table.select(["stage", "reason", "video_id", "clip_id"]) for table in tables])
    name = pc.if_else(pc.equal(rows.column("clip_id"), ""), rows.column("video_id"), rows.column("clip_id"))
    rows = rows.append_column("name", name).append_column("drawn", pa.array(hash_texts(name.combine_chunks(), seed)))
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for kind in rows.group_by(["stage", "reason"]).aggregate([]).to_pylist():
        of_kind = rows.filter(pc.and_(pc.equal(rows["stage"], kind["stage"]), pc.equal(rows["reason"], kind["reason"])))
        first = of_kind.take(pc.select_k_unstable(of_kind, EXAMPLES, [("drawn", "ascending")]))
        found[kind["stage"], kind["reason"]] = tuple(dict.fromkeys(first.column("name").to_pylist()))
    return found


def promised_by_category(store: Store, unit: str) -> dict[int, float]:
    """The total of all planned clips by category, including those of videos that were rejected later."""
    amounts: Counter[int] = Counter()
    for rows in store.read_runs("clips", ["category_id", "start_ms", "end_ms"]):
        length = pc.subtract(rows.column("end_ms"), rows.column("start_ms"))
        sums = rows.append_column("ms", length).group_by("category_id").aggregate([("ms", "sum"), ("ms", "count")])
        for row in sums.to_pylist():
            amounts[row["category_id"]] += row["ms_count" if unit == "clips" else "ms_sum"]
    return {i: float(n) if unit == "clips" else n / 3_600_000 for i, n in amounts.items()}


def _state(row: SourceRow) -> str:
    if row["reason"]:
        return str(row["reason"])
    return "no more to list" if row["exhausted"] else "has more"
