"""The verdict on top of the page: is what was asked for met, and what to know before the data set is published."""

from collections.abc import Iterator
from dataclasses import dataclass

from manifests.audit import Audit
from manifests.checks import CHECKS
from pipeline.report.data import ReportData
from pipeline.report.summary import amount, shown_categories
from pipeline.shards.card import NO_CONTACT

ENOUGH = ("share", "none", "not_asked", "already_kept", "left_over")
"""What keeps a category from more, where that is no shortfall."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence, and whether it is as it should be."""

    is_met: bool
    text: str


def requirements(data: ReportData, audit: Audit) -> Iterator[Finding]:
    """What was asked for, each met or missed."""
    balance = data.balance
    if balance and balance.total_asked >= 0:
        kept, asked = (amount(value, balance.unit) for value in (balance.total_kept, balance.total_asked))
        is_met = balance.total_kept >= 0.999 * balance.total_asked
        yield Finding(is_met, f"{kept} of {asked} {balance.unit} asked for")
    if balance and balance.total_asked >= 0:
        wanted = [row for row in shown_categories(balance) if row.asked > 0]
        short = [row.category for row in wanted if row.binding not in ENOUGH and row.kept < 0.98 * row.asked]
        named = f"; short: {', '.join(short)}" if short else ""
        yield Finding(not short, f"{len(wanted) - len(short)} of {len(wanted)} categories have their share{named}")
    if data.manifest.get("splits"):
        text = "; ".join(audit.lacking) or "every split has clips of every category"
        yield Finding(not audit.lacking, text)
    levels = (data.funnel.videos, data.funnel.clips)
    if data.funnel.videos.candidates:
        missing = sum(level.missing for level in levels)
        is_met = not missing and all(level.adds_up for level in levels)
        yield Finding(
            is_met, f"{missing:,} of the candidates are missing" if missing else "every candidate is accounted for"
        )


def before_publishing(data: ReportData, audit: Audit) -> Iterator[Finding]:
    """What must be known before others get the data set."""
    card = data.manifest.get("card", {})
    if data.manifest:
        contact = card.get("contact") or card.get("url")
        yield Finding(
            bool(contact),
            f"removals are asked for at {contact}" if contact else NO_CONTACT.replace("*", "").replace("`", ""),
        )
    known = audit.metrics.licence_known
    if known >= 0:
        yield Finding(known == 1, f"the licence of {100 * (1 - known):.1f} % of the clips is not known")
    cuts = audit.distributions.get("scene cuts in a clip", {})
    if whole := sum(cuts.values()):
        crossing = whole - sum(n for value, n in cuts.items() if value.strip() == "0")
        yield Finding(not crossing, f"{100 * crossing / whole:.1f} % of the clips cross a cut of their film")
    flags = audit.distributions.get("flags", {})
    doubtful = [(flags[name], name) for name in {str(check.reason) for check in CHECKS} if flags.get(name)]
    if doubtful:
        doubtful.sort(reverse=True)
        shares = ", ".join(f"{100 * n / audit.metrics.clips:.1f} % {name}" for n, name in doubtful)
        yield Finding(False, f"checks of picture and sound flag clips: {shares}")
    found = [name for name in ("email", "phone", "address", "birthday") if flags.get(name)]
    if found:
        said = f"{sum(flags[name] for name in found):,} flags of personal data in what is said ({', '.join(found)})"
        without = " and ".join(f"not flags.{name}" for name in found)
        yield Finding(False, f"{said}; data.where: '{without}' trains without them")
