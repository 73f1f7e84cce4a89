"""The audit's numbers: makes the manifests.audit.Audit of an output directory, and compares two of them."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from manifests.audit import AUDIT_NAME, Audit, CategoryFacts, Metrics
from manifests.categories import category_name, load_categories
from manifests.funnel import Level
from manifests.reasons import Reason
from pipeline.balance.result import REPEATS
from pipeline.engine.store.store import Store
from pipeline.report.data import ReportData, read_report_data
from pipeline.report.facts import UNKNOWN, ClipFacts, most_frequent, read_facts
from pipeline.report.tally import N, Values
from pipeline.shards.by_split import clips_by_split, lacking


def audit_of(data: ReportData, facts: ClipFacts) -> Audit:
    """The audit of a report's data."""
    return Audit(
        name=str(data.manifest.get("name", "")),
        manifest_created_at=str(data.manifest.get("created_at", "")),
        generation=int(data.manifest.get("generation", 0)),
        shards_read=data.clips.n_shards,
        clips_looked_at=facts.n_json,
        clips_behind=clips_behind(data, facts),
        metrics=_metrics(data, facts),
        categories=_categories(data),
        lacking=lacking(data.manifest),
        distributions=distributions(data, facts),
        rejected={"videos": _away(data.funnel.videos), "clips": _away(data.funnel.clips)},
    )


def write_audit(store: Store, audit: Audit) -> None:
    """Writes report/report.json."""
    store.write_json(AUDIT_NAME, audit.model_dump(mode="json"))


def recount(store: Store) -> Audit:
    """The audit of a directory as it is now. UserError if it contains no run."""
    data = read_report_data(store)
    return audit_of(data, read_facts(store, data.clips))


def read_audit(store: Store) -> Audit:
    """The audit written with the report, or computed now if there is none of this version."""
    try:
        return Audit.model_validate(store.read_json(AUDIT_NAME))
    except (FileNotFoundError, ValueError):
        return recount(store)


def category_counts(data: ReportData) -> dict[int, int]:
    """Clips in shards by category: the manifest's totals, or counted in the rows."""
    totals = data.manifest.get("totals", {}).get("categories")
    if totals is not None:
        return {int(i): int(n) for i, n in totals.items()}
    return data.clips.categories()


def _metrics(data: ReportData, facts: ClipFacts) -> Metrics:
    clips, totals = data.clips, data.manifest.get("totals", {})
    seconds, channels = clips.seconds(), clips.counts["channels"].column(N).to_pylist()
    categories = [n for i, n in category_counts(data).items() if i >= 0]
    of_all = data.funnel.videos.by_reason(), data.funnel.clips.by_reason()
    train, val = (_of_split(data, name) for name in ("train", "val"))
    return Metrics(
        clips=int(totals.get("samples", clips.n)),
        hours=round(float(totals.get("hours", seconds.sum() / 3600)), 6),
        shards=clips.n_shards,
        videos=len(clips.places.videos),
        channels=len(channels),
        entropy=_evenness(data),
        train_entropy=_evenness_of(data, train),
        val_entropy=_evenness_of(data, val),
        val_categories=sum(n > 0 for n in val) if val else -1,
        effective_categories=_effective(categories),
        top_channel_share=_share(max(channels, default=0), sum(channels)),
        top10_channels_share=_share(sum(sorted(channels)[-10:]), sum(channels)),
        effective_channels=_effective(channels),
        height_min=min((min(size) for size in clips.times("sizes")), default=0) or -1,
        seconds_mean=_mean(seconds),
        words_mean=_mean(clips.words()),
        words_per_second_mean=_mean(clips.words_per_second()),
        licence_known=_share_of(facts.licence, lambda x: x != UNKNOWN),
        creative_commons=_share_of(facts.licence, lambda x: "creative commons" in x.casefold()),
        language_top_share=_share(max(facts.language.values(), default=0), sum(facts.language.values())),
        manual_captions=_share_of(facts.caption_kind, lambda x: x.startswith("manual")),
        alignment_mean=_mean(facts.alignment),
        scene_cuts_mean=_mean(Values.of([float(n) for n in facts.scene_cuts], [*facts.scene_cuts.values()])),
        duplicates=sum(counts.get(reason.value, 0) for counts in of_all for reason in REPEATS),
        candidates=data.funnel.videos.candidates,
        videos_missing=data.funnel.videos.missing,
        internal_errors=sum(counts.get(Reason.INTERNAL_ERROR.value, 0) for counts in of_all),
    )


def _categories(data: ReportData) -> list[CategoryFacts]:
    """Every category that was requested, has clips, or is among the 15."""
    counts = category_counts(data)
    whole = sum(counts.values())
    asked = {c.category_id: c.asked for c in data.balance.categories} if data.balance else {}
    total = sum(amount for amount in asked.values() if amount > 0)
    published = {c.id: c.hd_vila_clips / 100 for c in load_categories()}
    of_splits = clips_by_split(data.manifest)
    return [
        CategoryFacts(
            category=category_name(i),
            clips=counts.get(i, 0),
            share=_share(counts.get(i, 0), whole, nothing=0.0),
            splits=of_splits.get(i, {}),
            asked_share=round(asked[i] / total, 6) if total and asked.get(i, -1) >= 0 else -1.0,
            hd_vila_share=round(published.get(i, 0.0), 6),
        )
        for i in sorted({*counts, *asked, *published}, key=lambda i: (i < 0, category_name(i)))
    ]


FACT_OF = {
    "licence": "licence",
    "language": "language",
    "captions": "caption_kind",
    "sentence model": "boundary_model",
    "year of upload": "upload_year",
    "scene cuts in a clip": "scene_cuts",
    "flags": "flags",
}
"""The subjects of the distributions that come from ClipFacts; the others are in the shards' rows."""

SAID_OFTEN = "sentences said in three videos or more"
"""It counts planned clips, not those in shards."""


def distributions(data: ReportData, facts: ClipFacts) -> dict[str, dict[str, int]]:
    """For each subject {value: clips}, most frequent first."""
    clips = data.clips
    sizes = {f"{width}x{height}": n for (width, height), n in clips.times("sizes").items()}
    rates: Counter[str] = Counter()
    for (fps,), n in clips.times("rates").items():
        rates[f"{fps:.4g}"] += n
    return {
        "licence": most_frequent(facts.licence),
        "language": most_frequent(facts.language),
        "captions": most_frequent(facts.caption_kind),
        "sentence model": most_frequent(facts.boundary_model),
        "year of upload": dict(sorted(most_frequent(facts.upload_year, most=25).items())),
        "resolution": most_frequent(sizes),
        "codec": most_frequent({codec: n for (codec,), n in clips.times("codecs").items()}),
        "frames a second": most_frequent(rates),
        "scene cuts in a clip": dict(sorted(most_frequent(facts.scene_cuts).items())),
        "flags": most_frequent(facts.flags, most=len(facts.flags)),  # whole: the rare ones say more
        SAID_OFTEN: data.said_often,
    }


def clips_behind(data: ReportData, facts: ClipFacts) -> dict[str, int]:
    """The number of clips counted for each subject of the distributions."""
    subjects = distributions(data, facts)
    behind = {s: facts.clips_behind[FACT_OF[s]] if s in FACT_OF else data.clips.n for s in subjects}
    return {**behind, SAID_OFTEN: data.n_texts}


def compare(a: Audit, b: Audit) -> list[tuple[str, str, str, str]]:
    """(metric, a, b, difference) for every metric and for each category's share."""
    lines = []
    for name in Metrics.model_fields:
        lines.append(_line(name, getattr(a.metrics, name), getattr(b.metrics, name)))
    shares = [{c.category: c.share for c in audit.categories} for audit in (a, b)]
    for category in sorted({*shares[0], *shares[1]}):
        lines.append(_line(f"share of {category}", shares[0].get(category, 0.0), shares[1].get(category, 0.0)))
    return lines


def _line(what: str, a: float, b: float) -> tuple[str, str, str, str]:
    known = a != -1 and b != -1
    shown = ["not known" if x == -1 else f"{x:,}" if isinstance(x, int) else f"{x:,.4g}" for x in (a, b)]
    return what, shown[0], shown[1], f"{b - a:+,.4g}" if known and a != b else ""


def _away(level: Level) -> dict[str, int]:
    return {f"{reject.stage} {reject.reason}": reject.count for reject in level.rejected}


def _evenness(data: ReportData) -> float:
    """Of what the shards hold now, in the unit that was balanced; the balance's own figure is of before a removal."""
    counts = {i: n for i, n in category_counts(data).items() if i >= 0}
    if data.balance is None or data.balance.unit == "clips":
        return _evenness_of(data, list(counts.values()))
    return _evenness_of(data, [data.clips.seconds(i).sum() for i in counts])


def _of_split(data: ReportData, split: str) -> list[int]:
    """A split's clips by category, without those of none; [] if there is no such split."""
    return [n.get(split, 0) for i, n in clips_by_split(data.manifest).items() if i >= 0 and split in n]


def _evenness_of(data: ReportData, counts: Sequence[float]) -> float:
    """The evenness of amounts over the categories asked for, or over the 15 if no balance ran."""
    balance = data.balance.categories if data.balance else ()
    n_asked = sum(row.category_id >= 0 and row.asked != 0 for row in balance) or len(load_categories())
    if not sum(counts):
        return -1.0
    return round(_nats(counts) / math.log(n_asked), 6) if n_asked > 1 else 0.0


def _effective(counts: Sequence[int]) -> float:
    return round(math.exp(_nats(counts)), 4) if sum(counts) else -1.0


def _nats(counts: Iterable[float]) -> float:
    sizes = np.array([n for n in counts if n > 0], dtype=np.float64)
    shares = sizes / sizes.sum() if len(sizes) else sizes
    return float(-(shares * np.log(shares)).sum()) + 0.0


def _share(part: float, whole: float, nothing: float = -1.0) -> float:
    return round(part / whole, 6) if whole else nothing


def _share_of(counts: Mapping[str, int], holds: Callable[[str], bool]) -> float:
    return _share(sum(n for value, n in counts.items() if holds(value)), sum(counts.values()))


def _mean(values: Values) -> float:
    return round(values.mean(), 4) if len(values) else -1.0
