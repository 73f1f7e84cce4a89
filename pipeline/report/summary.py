"""What a run prints at its end: candidates, kept, rejected, balance, seconds by stage, the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from manifests.exits import ExitCode
from manifests.funnel import FunnelJson, LevelJson
from manifests.reasons import Reason, meaning_of
from manifests.shards import Manifest
from manifests.stages import n_units
from pipeline.balance.result import BalanceResult, CategoryBalance
from pipeline.engine.run.lines import StageResult
from pipeline.outdir.accounts import WHOLE, Accounts
from pipeline.shards.by_split import lacking

MOST_REASONS = 12
FAR_SHORT = 0.5
"""A run that keeps less than this share of balance.total has not made what was asked."""
REPORT_NAME = "report/index.html"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of a run."""

    manifest: Manifest
    balance: BalanceResult
    results: tuple[StageResult, ...]
    accounts: Accounts = WHOLE

    @property
    def n_missing(self) -> int:
        """Units without a commit plus gaps and wrong sums in the accounts: more than 0 is a non-zero exit."""
        of_accounts = len(self.accounts.gaps) + len(self.accounts.wrong_sums)
        return sum(result.n_missing for result in self.results) + of_accounts

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command: internal errors take precedence over missing items."""
        if self.n_internal:
            return ExitCode.INTERNAL
        return ExitCode.INCOMPLETE if self.n_missing or self.shortfall else ExitCode.OK

    @property
    def why_not_whole(self) -> str:
        """Why the exit code is not 0, in one line; "" if it is."""
        if self.n_internal:
            return f"an error of this program keeps out {self.n_internal}"
        return f"missing: {self.n_missing}" if self.n_missing else self.shortfall

    @property
    def shortfall(self) -> str:
        """What is far short of what was asked, in one line; "" if it is not."""
        asked, kept, unit = self.balance.total_asked, self.balance.total_kept, self.balance.unit
        if not self.manifest.head["totals"]["shards"]:
            return "no clip was made: see what was rejected, and why"
        if asked > 0 and kept < FAR_SHORT * asked:
            came = f"{amount(kept, unit)} of {amount(asked, unit)} {unit}"
            return f"far short of what was asked: {came} (balance.total); see what was rejected, and why not more"
        return ""

    @property
    def n_internal(self) -> int:
        """Videos and clips that an internal error keeps out."""
        funnel = self.manifest.head.get("funnel", {})
        rejects = [reject for level in ("videos", "clips") for reject in funnel.get(level, {}).get("rejected", ())]
        return sum(t["count"] for t in rejects if t["reason"] == Reason.INTERNAL_ERROR)


def print_summary(delivered: Delivered, console: Console | None = None) -> None:
    """Prints the summary of a run that reached its manifest."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 100)  # a log file has no width; don't break the tables
    funnel = delivered.manifest.head.get("funnel", {})
    for table in (
        totals(delivered.manifest, funnel),
        rejects_table(funnel, "videos"),
        rejects_table(funnel, "clips"),
        balance_table(delivered.balance),
        stages(delivered.results),
    ):
        if table.row_count:
            console.print(table)
            console.print()
    for sentence in lacking(delivered.manifest.head):
        console.print(sentence, markup=False, soft_wrap=True)
    if delivered.n_internal:
        console.print(
            f"{delivered.n_internal} videos or clips were lost to errors of this program (internal_error): "
            f"`hdvila-pipeline why ID --out {delivered.manifest.root.rstrip('/')}` shows where; please report it",
            style="bold red",
            markup=False,
            soft_wrap=True,
        )
    if n_missing := sum(result.n_missing for result in delivered.results):
        console.print(f"{n_units(n_missing)} missing: run the same command again", style="bold red")
    for line in delivered.accounts.lines():
        console.print(line, style="bold red", markup=False, soft_wrap=True)
    console.print(f"report: {delivered.manifest.root.rstrip('/')}/{REPORT_NAME}", markup=False, soft_wrap=True)
    if delivered.shortfall:
        console.print(delivered.shortfall, style="bold red", markup=False, soft_wrap=True)


def totals(manifest: Manifest, funnel: FunnelJson) -> Table:
    """One number per line: the funnel of videos and clips, and what the shards hold."""
    table = Table(title="the data set", title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    if funnel:
        videos, clips = funnel["videos"], funnel["clips"]
        table.add_row("videos: candidates", f"{videos['candidates']:,}")
        table.add_row("videos: kept", f"{videos['kept']:,}")
        table.add_row("videos: rejected", f"{_sum(videos):,}")
        table.add_row("videos: missing", f"{videos['missing']:,}")
        table.add_row("clips: planned", f"{clips['candidates']:,}")
        table.add_row("clips: rejected", f"{_sum(clips):,}")
    whole = manifest.head["totals"]
    table.add_row("clips: in shards", f"{whole['samples']:,}")
    table.add_row("hours", f"{whole['hours']:,.2f}")
    table.add_row("shards", f"{whole['shards']:,}  ({whole['bytes'] / 1e6:,.1f} MB)")
    return table


def _sum(level: LevelJson) -> int:
    return sum(reject["count"] for reject in level["rejected"])


def rejects_table(funnel: FunnelJson, unit: Literal["videos", "clips"]) -> Table:
    """Rejected videos or clips by stage and reason, the most frequent first."""
    table = Table(title=f"{unit} rejected", title_justify="left", box=None, padding=(0, 2))
    for name in ("stage", "reason", "what it means"):
        table.add_column(name)
    table.add_column(unit, justify="right")
    rejected = sorted(funnel[unit]["rejected"] if funnel else (), key=lambda t: -t["count"])
    for reject in rejected[:MOST_REASONS]:
        table.add_row(reject["stage"], reject["reason"], meaning_of(reject["reason"]), f"{reject['count']:,}")
    if more := sum(t["count"] for t in rejected[MOST_REASONS:]):
        table.add_row("", "others", f"{len(rejected) - MOST_REASONS} further reasons", f"{more:,}")
    return table


def balance_table(result: BalanceResult) -> Table:
    """Asked, planned, made and kept by category, and what limited each."""
    title = (
        f"balance in {result.unit}: evenness {result.entropy_before:.3f} before, {result.entropy_after:.3f} after; "
        f"effective categories {result.effective_categories_before:.1f} before, "
        f"{result.effective_categories_after:.1f} after"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2))
    table.add_column("category", no_wrap=True)
    for name in ("asked", "before", "made", "kept"):
        table.add_column(name, justify="right")
    table.add_column("why not more")
    for row in shown_categories(result):
        asked = "all" if row.asked < 0 else amount(row.asked, result.unit)
        numbers = (amount(x, result.unit) for x in (row.planned, row.made, row.kept))
        table.add_row(row.category, asked, *numbers, row.why)
    asked = "all" if result.total_asked < 0 else amount(result.total_asked, result.unit)
    sums = [sum(getattr(row, name) for row in result.categories) for name in ("planned", "made", "kept")]
    table.add_row("all", asked, *(amount(x, result.unit) for x in sums), "", style="bold")
    return table


def shown_categories(result: BalanceResult) -> list[CategoryBalance]:
    """The categories that were asked for or have candidates; if no total was requested, those that have candidates: an
    empty category of a folder is not a shortfall.
    """
    if result.total_asked >= 0:
        return [row for row in result.categories if row.videos or row.binding != "not_asked"]
    return [row for row in result.categories if row.videos]


def amount(value: float, unit: str) -> str:
    """Clips and videos as whole numbers (with a tenth if not whole), hours with enough digits to tell them apart."""
    if unit != "hours":
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


def stages(results: Sequence[StageResult]) -> Table:
    """Units, rejects and seconds by stage; a stage that ran several times (rounds, batches) is one line."""
    table = Table(title="stages", title_justify="left", box=None, padding=(0, 2))
    table.add_column("stage")
    for name in ("units done", "of which now", "missing", "rejects", "seconds"):
        table.add_column(name, justify="right")
    merged: dict[str, list[StageResult]] = {}
    for result in results:
        merged.setdefault(result.stage, []).append(result)
    for stage, runs in merged.items():
        # Concurrent batches each count from their own start.
        n_before, n_now = min(r.n_done_before for r in runs), sum(r.n_made for r in runs)
        table.add_row(
            stage,
            f"{n_before + n_now:,}",
            f"{n_now:,}",
            f"{sum(r.n_missing for r in runs):,}",
            f"{sum(sum(r.rejects.values()) for r in runs):,}",
            f"{sum(r.seconds for r in runs):.1f}",
        )
    return table
