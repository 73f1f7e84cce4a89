"""The audit page, report/index.html: balance, funnel, distributions, categories not filled, samples to look at.

It is a single file that needs nothing else: no font or picture from the net, charts as SVG, and a single script (tables
that sort and filter), which the page can do without. Everything shown is escaped, since titles and captions come from
strangers; a content policy in the page names that script by its hash and forbids anything that might get through.
report/report.json has the same in numbers.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment
from markupsafe import Markup

from manifests.categories import category_name
from manifests.errors import UserError, is_of_a_disk
from manifests.funnel import Level
from manifests.image_sample import IMAGE_KIND
from manifests.reasons import meaning_of
from manifests.review import read_review
from manifests.shards import MANIFEST_NAME
from pipeline.balance.result import BalanceResult, CategoryBalance
from pipeline.engine.store.store import Store
from pipeline.report.audit import SAID_OFTEN, audit_of, write_audit
from pipeline.report.charts import (
    BalanceRow,
    Chart,
    balance_rows,
    by_category,
    concentration,
    count_list,
    histogram,
    lengths_of,
    nice_top,
)
from pipeline.report.clips import DRAWN
from pipeline.report.data import ReportData, largest_channels, read_report_data
from pipeline.report.facts import ClipFacts, read_facts
from pipeline.report.samples import view_samples
from pipeline.report.summary import REPORT_NAME, amount, shown_categories
from pipeline.report.tally import N
from pipeline.report.templates import environment
from pipeline.report.verdict import ENOUGH, before_publishing, requirements
from pipeline.shards.by_split import splits_of

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
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel with its clips; shares in per cent, `cumulative` including the channels before it."""

    channel: str
    name: str
    clips: int
    share: float
    cumulative: float


PARTS = (
    ("balance", "Balance"),
    ("splits", "Splits"),
    ("short", "What could not be filled"),
    ("funnel", "Funnel"),
    ("distributions", "The clips"),
    ("channels", "Channels"),
    ("generations", "Generations"),
    ("review", "Review"),
    ("samples", "Samples"),
)
OF_A_RUN = ("short", "funnel")
"""Sections that a merged or resharded data set cannot have: the tables stay with the data sets it was made from."""


def has_audit(store: Store) -> bool:
    """Whether there is something to audit: an image-text set has no crawl."""
    return not (store.exists(MANIFEST_NAME) and _kind(store) == IMAGE_KIND)


def _kind(store: Store) -> object:
    document = store.read_json(MANIFEST_NAME)
    return document.get("kind") if isinstance(document, dict) else None


def write_first_report(store: Store) -> None:
    """Writes the report of a data set that was just published, if it is one to audit.

    UserError where the disk has no room for it: what made the data set would be refused now, for it is there.
    """
    if not has_audit(store):
        return
    try:
        write_report(store)
    except OSError as error:
        if not is_of_a_disk(error):
            raise
        cure = f"free some space on that disk, or look at it, and run `hdvila-pipeline report {store.url}`"
        raise UserError(f"{store.url}: the data set is whole, but has no report ({error}); {cure}") from None


def write_report(store: Store, seed: int = 0) -> str:
    """Writes report/index.html and report/report.json of an output directory; returns the page's relative path.

    UserError for an image-text set.
    """
    if not has_audit(store):
        raise UserError(f"{store.url}: an image-text set has no crawl to audit; its dataset_card.md says what it holds")
    data = read_report_data(store, seed)
    facts = read_facts(store, data.clips)
    write_audit(store, audit_of(data, facts))
    store.write_sealed(REPORT_NAME, render(store, data, facts).encode(errors="replace"))
    return REPORT_NAME


@cache
def _environment() -> Environment:
    made = environment("pipeline.report")
    made.filters["amount"] = amount
    return made


@cache
def content_policy() -> str:
    """What the page may do: its one script, its styles, and pictures that lie in it."""
    digest = base64.b64encode(hashlib.sha256(_template("report.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "form-action 'none'; base-uri 'none'"
    )


def render(store: Store, data: ReportData, facts: ClipFacts | None = None, *, is_served: bool = False) -> str:
    """Renders the page. The samples' pictures are read from `store`. `is_served`: with links to `browse`'s clips."""
    facts = facts or read_facts(store, data.clips)
    audit = audit_of(data, facts)
    style, script = (_template(name) for name in ("report.css", "report.js"))
    balance = data.balance
    splits = splits_of(data.manifest)
    has_run = not data.manifest or data.funnel.videos.candidates > 0 or balance is not None
    review = read_review(store)
    empty = {"splits": not splits, "review": review is None}
    empty["generations"] = len(data.generations) < 2
    empty |= dict.fromkeys(OF_A_RUN, not has_run)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            name=data.manifest.get("name", "a run under way"),
            balance=balance,
            balance_rows=balance_rows(balance, data.promised) if balance else list[BalanceRow](),
            promised=data.promised,
            shown=shown_categories(balance) if balance else [],
            audit=audit,
            m=audit.metrics,
            has_run=has_run,
            verdict=[*requirements(data, audit)],
            publishing=[*before_publishing(data, audit)],
            parts=[part for part in PARTS if not empty.get(part[0])],
            splits=splits,
            result=review,
            style=Markup(style),
            script=Markup(script),
            policy=Markup(content_policy()),
            is_served=is_served,
            lists=[count_list(title, n, audit.clips_behind[title]) for title, n in audit.distributions.items() if n],
            OF_TEXTS=("flags", SAID_OFTEN),
            channels=channel_rows(data),
            seed=data.seed,
            per_category=DRAWN,
            short=short_categories(balance) if balance else [],
            levels=[("videos", data.funnel.videos), ("clips", data.funnel.clips)],
            lost={
                "videos": funnel_rows(data.funnel.videos, data.examples),
                "clips": funnel_rows(data.funnel.clips, data.examples),
            },
            charts=charts(data, facts),
            channel_chart=channel_chart(data),
            samples=view_samples(store, data.clips.drawn),
            sources=data.sources[:MOST_SOURCES],
        )
    )


def short_categories(result: BalanceResult) -> list[CategoryBalance]:
    """Categories that were requested and got less than they should, emptiest first."""
    wanted = [row for row in shown_categories(result) if row.binding not in ENOUGH]
    missing = [row for row in wanted if row.asked < 0 or row.kept < 0.98 * row.asked]
    return sorted(missing, key=lambda row: (row.kept / row.asked if row.asked > 0 else row.kept, row.category))


def _template(name: str) -> str:
    return resources.files("pipeline.report").joinpath("templates", name).read_text(encoding="utf-8")


def channel_rows(data: ReportData) -> list[ChannelRow]:
    """The channels with the most clips."""
    whole, so_far, rows = max(1, data.clips.n), 0, []
    for channel, clips in largest_channels(data.clips):
        so_far += clips
        name = data.channels.get(channel, "")
        rows.append(ChannelRow(channel or "not known", name, clips, 100 * clips / whole, 100 * so_far / whole))
    return rows


def channel_chart(data: ReportData) -> Chart | None:
    """A chart of how the clips are spread over channels; None if there are fewer than two."""
    clips = data.clips.counts["channels"].column(N).to_numpy()
    return concentration(clips) if len(clips) > 1 else None


def funnel_rows(level: Level, examples: Mapping[tuple[str, str], tuple[str, ...]]) -> list[FunnelRow]:
    """The losses of a level in the order of the stages, with bars and example ids."""
    lengths = lengths_of([reject.count for reject in level.rejected])
    return [
        FunnelRow(
            reject.stage,
            reject.reason,
            meaning_of(reject.reason),
            reject.count,
            length,
            examples.get((reject.stage, reject.reason), ()),
        )
        for reject, length in zip(level.rejected, lengths, strict=True)
    ]


def charts(data: ReportData, facts: ClipFacts) -> list[Chart]:
    """Length, words, words a second, alignment and motion of the clips, and their length by category."""
    clips = data.clips
    seconds, words, rate, motion = clips.seconds(), clips.words(), clips.words_per_second(), facts.motion
    made = [
        histogram("length", seconds, top=nice_top(seconds, 20), unit="seconds", reference=HD_VILA_SECONDS),
        histogram("words", words, top=nice_top(words, 40), unit="words", reference=HD_VILA_WORDS),
        histogram("speed of speech", rate, top=nice_top(rate, 5), unit="words a second"),
        histogram(
            "confidence of the alignment",
            facts.alignment,
            top=1,
            unit="share of anchored words; 1 where nothing had to be aligned",
        ),
        histogram("motion", motion, top=nice_top(motion, 2), unit="% of the short side in half a second"),
    ]
    lengths = {category_name(i): clips.seconds(i) for i in clips.categories()}
    if lengths:
        made.append(by_category("length", "seconds", dict(sorted(lengths.items()))))
    return made
