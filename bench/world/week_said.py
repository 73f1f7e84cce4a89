"""What a week was like, counted at the site: rates by identity, kept videos by day, requests per kept video."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.world.asked_directly import HOUR_S, SESSION, Asked, Seen
from pipeline.config.crawl import CrawlConfig

DAY_S = 24 * HOUR_S


@dataclass(slots=True)
class Lived:
    """What a crawl or a loop did in its time."""

    asked: Asked
    kept_at: dict[str, float] = field(default_factory=dict)
    """By video id: when it was there."""
    ends: list[tuple[float, str]] = field(default_factory=list)
    """When a run ended before its time, and why."""
    never: Counter[str] = field(default_factory=Counter)
    """Videos that are rejected for good although nothing is wrong with them, by reason."""
    unsettled: int = 0
    """Videos that are to be tried again although they will never be had."""


SERVERS_KINDS = {
    "home": "list", "search": "list", "browse": "list", "watch": "page", "embed": "page", "player": "player",
    "next": "player", "captions": "caption", "media": "media",
}  # fmt: skip
"""The kind of politeness, by the site's kind."""


def most_within(times: Sequence[float], window_s: float) -> int:
    """The most of these times (sorted) that lie within any window of that length."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_of(log: Sequence[Seen], identity: str, kind: str, window_s: float) -> int:
    """The most requests of a kind of politeness that the site had from an identity within such a window."""
    return most_within([s.at_s for s in log if s.identity == identity and SERVERS_KINDS.get(s.kind) == kind], window_s)


def lines(crawl: CrawlConfig, lived: Lived, loops: Mapping[str, Lived]) -> Iterator[str]:
    """The week as a page, beside what the crawl's settings allow and what loops did."""
    yield from _rates(crawl, lived)
    yield ""
    yield from _days([identity.name for identity in crawl.pool()], lived)
    yield ""
    yield f"{'requests per kept video':26}{'all':>8}{'sentinels apart':>17}"
    for name, of in {"the crawl": lived, **loops}.items():
        n_kept, n_all = max(1, len(of.kept_at)), len(of.asked.log)
        n_apart = sum(seen.about != "sentinel" for seen in of.asked.log)
        said = f"{len(of.kept_at):,} kept, {n_all:,} requests, {sum(of.asked.n_limited.values()):,} refused as too fast"
        yield f"{name:26}{n_all / n_kept:>8.2f}{n_apart / n_kept:>17.2f}   {said}"
    kinds = Counter(seen.kind for seen in lived.asked.log if seen.about != "sentinel")
    yield "by kind: " + ", ".join(f"{kind} {n / max(1, len(lived.kept_at)):.2f}" for kind, n in kinds.most_common())
    yield ""
    for at, why in lived.ends:
        yield f"run ended at day {1 + at / DAY_S:.2f}: {why}"
    yield f"good videos rejected for good: {lived.never.total()} {dict(lived.never) or ''}"
    yield f"videos without hope that are still to be tried again: {lived.unsettled}"


def _rates(crawl: CrawlConfig, lived: Lived) -> Iterator[str]:
    """The most that each identity asked, as the site saw it, beside what is configured."""
    limits, kinds = crawl.politeness.identity_requests_per_minute, ("list", "page", "player", "caption", "media")
    yield "most requests in 10 minutes; looks in an hour (sentinels' apart); requests of a session in an hour; refusals"
    yield f"{'':12}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'looks/h':>10}{'session/h':>11}{'blocked':>9}"
    allowed = "".join(f"{10 * limits[kind]:>9.0f}" for kind in kinds)
    yield f"{'configured':12}{allowed}{crawl.pool()[0].videos_per_hour:>10.1f}"
    for name in (identity.name for identity in crawl.pool()):
        own = [seen for seen in lived.asked.log if seen.identity == name]
        each = "".join(f"{most_of(own, name, kind, 600):>9}" for kind in kinds)
        looks = most_within([s.at_s for s in own if s.kind == "watch" and s.about != "sentinel"], HOUR_S)
        asked = most_within([s.at_s for s in own if s.kind in SESSION], HOUR_S)
        yield f"{name:12}{each}{looks:>10}{asked:>11}{sum(s.is_blocked for s in own):>9}"


def _days(names: Sequence[str], lived: Lived) -> Iterator[str]:
    yield f"{'day':>4}{'kept':>7}{'requests':>10}{'per kept':>10}" + "".join(f"{name:>8}" for name in names)
    for day in range(math.ceil(lived.asked.log[-1].at_s / DAY_S)):
        of_day = [seen for seen in lived.asked.log if day <= seen.at_s / DAY_S < day + 1]
        n_kept = sum(day <= at / DAY_S < day + 1 for at in lived.kept_at.values())
        each = Counter(seen.identity for seen in of_day)
        per_kept = f"{len(of_day) / n_kept:.2f}" if n_kept else "-"
        yield f"{day + 1:>4}{n_kept:>7}{len(of_day):>10}{per_kept:>10}" + "".join(f"{each[name]:>8}" for name in names)
