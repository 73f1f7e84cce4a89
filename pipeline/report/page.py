"""The audit page, report/index.html: balance, funnel, distributions, what could not be filled, samples to look at.

One file that needs nothing else: no script, no font or picture from the net. Everything shown is escaped, since titles
and captions come from strangers; a content policy in the page forbids whatever would get through.
"""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from manifests.funnel import Level
from manifests.reasons import meaning_of
from pipeline.balance.result import BalanceResult, CategoryBalance
from pipeline.engine.store import Store
from pipeline.report.charts import (
    BalanceRow,
    Histogram,
    balance_rows,
    histogram,
    lengths_of,
    nice_top,
)
from pipeline.report.data import ReportData, gather, seconds_of, words_of
from pipeline.report.samples import choose_samples
from pipeline.report.summary import REPORT_NAME, amount

MOST_SOURCES = 60
HD_VILA_SECONDS, HD_VILA_WORDS = 13.4, 32.5
"""Means of HD-VILA-100M's clips."""


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """A stage and a reason: how many were lost, and a bar's length in per cent."""

    stage: str
    reason: str
    meaning: str
    count: int
    length: float


def write_report(store: Store) -> str:
    """Writes report/index.html of an output directory and returns its path in it."""
    store.write(REPORT_NAME, render(store, gather(store)).encode())
    return REPORT_NAME


def render(store: Store, data: ReportData) -> str:
    """The page. `store` is asked for the samples' pictures."""
    environment = Environment(
        loader=PackageLoader("pipeline.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["amount"] = amount
    balance = data.balance
    return environment.get_template("report.html.j2").render(
        data=data,
        name=data.manifest.get("name", "a run under way"),
        balance=balance,
        balance_rows=balance_rows(balance) if balance else list[BalanceRow](),
        short=short_categories(balance) if balance else [],
        levels=[("videos", data.funnel.videos), ("clips", data.funnel.clips)],
        lost={"videos": funnel_rows(data.funnel.videos), "clips": funnel_rows(data.funnel.clips)},
        histograms=histograms(data),
        samples=choose_samples(store, data.rows),
        sources=data.sources[:MOST_SOURCES],
    )


def short_categories(result: BalanceResult) -> list[CategoryBalance]:
    """Categories that were asked for and have less than they should, emptiest first."""
    wanted = [row for row in result.categories if row.binding not in ("share", "none", "not_asked", "already_kept")]
    missing = [row for row in wanted if row.asked < 0 or row.kept < 0.98 * row.asked]
    return sorted(missing, key=lambda row: (row.kept / row.asked if row.asked > 0 else row.kept, row.category))


def funnel_rows(level: Level) -> list[FunnelRow]:
    """The losses of a level in the order of the road, with bars."""
    lengths = lengths_of([turned.count for turned in level.rejected])
    return [
        FunnelRow(turned.stage, turned.reason, meaning_of(turned.reason), turned.count, length)
        for turned, length in zip(level.rejected, lengths, strict=True)
    ]


def histograms(data: ReportData) -> list[Histogram]:
    """Length, words, and words a second of the clips that were read."""
    seconds, words = seconds_of(data.rows), words_of(data.rows)
    rate = words / seconds.clip(min=0.001)
    return [
        histogram("length", seconds, top=nice_top(seconds, 20), unit="seconds", reference=HD_VILA_SECONDS),
        histogram("words", words, top=nice_top(words, 40), unit="words", reference=HD_VILA_WORDS),
        histogram("speed of speech", rate, top=nice_top(rate, 5), unit="words a second"),
    ]
