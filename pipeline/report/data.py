"""The data that the report shows, read from an output directory alone: of any run, finished or in progress."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.categories import category_name
from manifests.census import Census
from manifests.clip_status import is_success
from manifests.errors import DamagedFile, UserError
from manifests.funnel import FunnelCounts, funnel, selection_runs
from manifests.hashing import UInt64, hash_texts, splitmix64
from manifests.membership import are_in, hash_ids, rows_in
from manifests.reasons import meaning_of
from manifests.rejected import Rejected
from manifests.rows import SourceRow
from manifests.shards import MANIFEST_NAME, head_of
from pipeline.balance.result import BALANCE_NAME, BalanceResult
from pipeline.engine.store.store import Store
from pipeline.report.clips import Clips, read_clips
from pipeline.report.once import take_once
from pipeline.report.places import Ints
from pipeline.report.tally import Lowest, Tally

EXAMPLES = 3
"""Ids shown for each reason."""


_OF_SELECTION = pa.schema([("category_id", pa.int32()), ("reason", pa.string())])
_NO_NAMES = pa.schema([("stage", pa.string()), ("reason", pa.string()), ("name", pa.string())]).empty_table()


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
    of_tables = _read_tables(store, balance, seed)
    pa.default_memory_pool().release_unused()
    return ReportData(
        url=store.url, seed=seed, manifest=manifest, balance=balance, **of_tables, clips=read_clips(store, seed)
    )


def _read_tables(store: Store, balance: BalanceResult | None, seed: int) -> dict[str, Any]:
    """What the tables say; the census is gone before the clips are read."""
    census = Census(store)
    return {
        "funnel": funnel(store, census),
        "losses": category_losses(store, census.rejected),
        "examples": examples_of_reasons(store, census, seed),
        "promised": promised_by_category(store, balance.unit if balance else "clips"),
        "sources": source_yields(store),
    }


def read_balance(store: Store) -> BalanceResult | None:
    """balance.json, or None if no balance has run. DamagedFile if it is not valid."""
    if not store.exists(BALANCE_NAME):
        return None
    try:
        return BalanceResult.of_document(store.read_json(BALANCE_NAME))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{store.url}/{BALANCE_NAME}: is not a balance ({error!r}); restore it") from None


def category_losses(store: Store, rejected: Rejected) -> tuple[CategoryLoss, ...]:
    """Why videos were left out, by category. Videos rejected before their category was known count for the category
    that was searched for.
    """
    of_selection, known = Tally(_OF_SELECTION), [np.zeros(0, np.uint64)]
    for rows in selection_runs(store, ["video_id", *_OF_SELECTION.names]):
        of_selection.add(rows)
        known.append(hash_ids(rows.column("video_id")))
    reasons: dict[int, Counter[str]] = {}
    kept: Counter[int] = Counter()
    for row in of_selection.counts().to_pylist():
        if row["reason"]:
            reasons.setdefault(row["category_id"], Counter())[row["reason"]] += row["n"]
        else:
            kept[row["category_id"]] += row["n"]
    for category_id, reason, n in _lost_before(store, rejected, np.sort(np.concatenate(known))):
        reasons.setdefault(category_id, Counter())[reason] += n
    in_order = sorted(reasons, key=lambda i: (i < 0, category_name(i)))
    return tuple(CategoryLoss(category_name(i), kept[i], _most_frequent(reasons[i])) for i in in_order)


def _most_frequent(counts: Counter[str]) -> tuple[tuple[str, str, int], ...]:
    """(reason, its meaning, count), largest count first."""
    in_order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple((reason, meaning_of(reason), count) for reason, count in in_order)


class _Wanted:
    """The category that each of some videos [V] was searched for."""

    def __init__(self, n_videos: int) -> None:
        self.category_id = np.full(n_videos, -1, np.int32)

    def take(self, rows: pa.Table, places: Ints) -> None:
        """Takes up rows of `candidates`."""
        self.category_id[places] = rows.column("wanted_category_id").to_numpy()


def _lost_before(store: Store, rejected: Rejected, known: UInt64) -> Iterator[tuple[int, str, int]]:
    """(category, reason, how many) of rejected videos that are not in the selection."""
    is_lost = ~are_in(known, rejected.video)
    video, kind = rejected.video[is_lost], rejected.kind[is_lost].astype(np.int64)
    wanted, _ = take_once(
        store,
        "candidates",
        ["video_id", "wanted_category_id"],
        lambda rows: rows_in(video, hash_ids(rows.column("video_id"))),
        len(video),
        lambda: _Wanted(len(video)),
        first=True,
    )
    pairs, counts = np.unique(np.stack([wanted.category_id, kind]), axis=1, return_counts=True)
    for (category_id, number), n in zip(pairs.T.tolist(), counts.tolist(), strict=True):
        yield category_id, rejected.kinds[number][1], n


def source_yields(store: Store) -> tuple[SourceYield, ...]:
    """The yield of each source, sorted by what was kept."""
    gave = _given(store)
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


def _given(store: Store) -> dict[tuple[str, str], tuple[int, int]]:
    """{(source, query): (videos looked at, those of them that are kept)}."""
    kept = [np.zeros(0, np.uint64)]
    for rows in selection_runs(store, ["video_id", "kept"]):
        kept.append(hash_ids(rows.column("video_id").filter(rows.column("kept"))))
    names: dict[tuple[str, str], int] = {}
    codes, videos = [np.zeros(0, np.int32)], [np.zeros(0, np.uint64)]
    for rows in store.read_runs("candidates", ["video_id", "source", "query"]):
        codes.append(_codes_of(rows, names))
        videos.append(hash_ids(rows.column("video_id")))
    code, video = np.concatenate(codes), np.concatenate(videos)
    _, first = np.unique(video ^ splitmix64(code.astype(np.uint64)), return_index=True)  # a video may come twice
    code, video = code[first], video[first]
    n_looked_at = np.bincount(code, minlength=len(names))
    n_kept = np.bincount(code[are_in(np.sort(np.concatenate(kept)), video)], minlength=len(names))
    return dict(zip(names, zip(n_looked_at.tolist(), n_kept.tolist(), strict=True), strict=True))


def _codes_of(rows: pa.Table, names: dict[tuple[str, str], int]) -> NDArray[np.int32]:
    """[N] a number for each row's source and query; `names` has them, and gets the new ones."""
    source, query = (pc.dictionary_encode(rows.column(name).combine_chunks()) for name in ("source", "query"))
    n = max(1, len(query.dictionary))
    pair, at = np.unique(source.indices.to_numpy().astype(np.int64) * n + query.indices.to_numpy(), return_inverse=True)
    sources, queries = source.dictionary.to_pylist(), query.dictionary.to_pylist()
    numbers = [names.setdefault((sources[code // n], queries[code % n]), len(names)) for code in pair.tolist()]
    return np.array(numbers, np.int32)[at]


def examples_of_reasons(store: Store, census: Census, seed: int = 0) -> dict[tuple[str, str], tuple[str, ...]]:
    """By (stage, reason): EXAMPLES ids, drawn by the seed. They are clip ids if clips were rejected."""
    lowest = Lowest(["stage", "reason"], EXAMPLES)
    for rows in _left_out(store, census):
        name = pc.if_else(pc.equal(rows.column("clip_id"), ""), rows.column("video_id"), rows.column("clip_id"))
        drawn = pa.array(hash_texts(name.combine_chunks(), seed), pa.uint64())
        lowest.add(rows.select(["stage", "reason"]).append_column("name", name).append_column("drawn", drawn))
    examples: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in (lowest.rows() or _NO_NAMES).to_pylist():
        kind = row["stage"], row["reason"]
        examples[kind] = tuple(dict.fromkeys([*examples.get(kind, ()), row["name"]]))
    return examples


def _left_out(store: Store, census: Census) -> Iterator[pa.Table]:
    """Everything that was rejected, some rows at a time: stage, reason, video_id, and clip_id or ""."""
    yield from census.rejects_in_force()
    for rows in store.read_runs("packs", ["status", "reason", "video_id", "clip_id"]):
        failed = rows.filter(pc.invert(is_success(rows.column("status"))))
        yield failed.append_column("stage", pa.repeat("media", failed.num_rows))
    for rows in selection_runs(store, ["video_id", "reason"]):
        out = rows.filter(pc.not_equal(rows.column("reason"), ""))
        out = out.append_column("clip_id", pa.repeat("", out.num_rows))
        yield out.append_column("stage", pa.repeat("balance", out.num_rows))


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
