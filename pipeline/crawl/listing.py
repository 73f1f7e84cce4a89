"""The first two stages of a crawl round: which videos there are, and which of them to look at.

list     in:  the round's asks.            out: rows of `listings` (one per result) and `sources` (one per ask)
choose   in:  all listings so far.         out: rows of `candidates`; rejects that the listing alone decides
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from manifests.origin import is_site_id
from manifests.reasons import Reason, ReasonClass
from manifests.rows import CandidateRow, ListingRow, SourceRow
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.grown import words_of
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.limits import check_listed
from pipeline.crawl.plan import RoundPlan, digest
from pipeline.crawl.sources import GROWN, LISTS, NO_RESULT, SEARCHES, Ask, Listed
from pipeline.crawl.sources.lists import END, list_part
from pipeline.crawl.sources.site_lists import address_of
from pipeline.crawl.sources.spans import some_usable
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Reject, Resources, Unit
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.asking import Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.failures import Failure
from pipeline.site.kept_sessions import site_for
from pipeline.site.politeness import Polite
from pipeline.site.ytdlp import Info, Session, list_entries

LIST_TRIES = 3
LIST_TIME_LIMIT_S = 1800.0
"""Of a listing, by the clock."""


@dataclass(frozen=True, slots=True)
class ListStage:
    """One unit per listing of the round."""

    config: CrawlConfig
    polite: Polite
    plan: RoundPlan
    name: str = "list"
    opt_outs: Tombstones = field(default_factory=Tombstones)

    @property
    def resources(self) -> Resources:
        """A listing mostly waits; it may last a whole patience."""
        limit_s = LIST_TIME_LIMIT_S * LIST_TRIES + self.config.politeness.patience_s
        return Resources(n_cpus=0.5, memory_bytes=2 * 1024**3, time_limit_s=limit_s)

    def units(self, store: Store) -> list[Unit]:
        """Units named by what is asked and in which round."""
        number = f"{self.plan.round:05d}"
        return [Unit(f"{number}-{ask.source}-{digest(ask)}", ask, ()) for ask in self.plan.asks]

    def process(self, unit: Unit, context: Context) -> Output:
        """Lists all results from the first. Results before a failure are kept, and the source is listed again later."""
        ask: Ask = unit.payload
        if ask.source == LISTS:
            results, cursor = list_part(ask.query, self.config.lists, ask.cursor, (context.store, context.scratch))
            listed = ListedSource(results, exhausted=cursor == END, cursor=cursor)
        else:
            words = words_of(context.store, ask.query) if ask.source == GROWN else ask.query
            listed = _SiteListing(ask, words, self.config, self.polite).run() if words else ListedSource(exhausted=True)
        return Output(
            rows={
                "listings": [_listing_row(self._without_removed(it), ask, self.plan.round) for it in listed.results],
                "sources": [_source_row(listed, ask, self.plan.round)],
            },
            facts={"exhausted": listed.exhausted, "reason": listed.reason},
        )

    def _without_removed(self, result: Listed) -> Listed:
        """A result; of a removed video only that there is one."""
        name = self.opt_outs.known_as(result.video_id)
        known = name == result.video_id
        return result if known else replace(result, video_id=name, title="", channel_id="", given_spans="")


@dataclass(slots=True)
class ListedSource:
    """The outcome of a listing."""

    results: list[Listed] = field(default_factory=list)
    exhausted: bool = False
    cursor: int = 0
    reason: str = ""
    detail: str = ""


@dataclass(slots=True)
class _SiteListing:
    """One list of the site; each attempt starts at its first page, and the longest result is kept."""

    ask: Ask
    words: str  # or whatever else names the list to the site
    config: CrawlConfig
    polite: Polite
    best: ListedSource = field(default_factory=ListedSource)

    def run(self) -> ListedSource:
        rules = Rules(LIST_TIME_LIMIT_S, LIST_TRIES, self.config.politeness.patience_s, about="list")
        asking = Asking(self.config, self.polite)
        try:
            result = asking.ask(self.ask.query, self._attempt, rules)
        except NobodyMayAsk as all_paused:
            result = Failure(Reason.RATE_LIMITED, str(all_paused))
        if isinstance(result, Failure):
            self.best.exhausted = self.best.exhausted or result.reason.class_ is ReasonClass.NEVER
            self.best.reason, self.best.detail = result.reason.value, asking.safe(result.detail)
        return self.best

    def _attempt(self, turn: Turn) -> ListedSource:
        """Lists from the first page to the end of the list or the wanted length. Keeps what came before an error."""
        site = site_for(self.config, turn.identity, turn.clients, turn.session)
        address = address_of(self.ask.source, self.words)
        results: list[Listed] = []
        try:
            for video_id, entry in _until_it_repeats(list_entries(site, address), turn.session):
                results.append(_from_entry(video_id, entry, len(results)))
                if len(results) >= self.ask.up_to:
                    break
        finally:
            if len(results) > len(self.best.results):
                self.best.results = results
        looks_empty = not results and self.ask.source in SEARCHES
        self.best.exhausted = len(results) < self.ask.up_to and not looks_empty
        if looks_empty:  # not the end of a list
            self.best.reason, self.best.detail = Reason.BAD_ANSWER.value, NO_RESULT
        return self.best


def _until_it_repeats(entries: Iterator[Info], session: Session) -> Iterator[tuple[str, Info]]:
    """Entries with new ids, to the end of the first page that has none: the site may repeat a list without an end.

    A page is what comes between two requests; one that repeats as many entries as the last page had is not asked on.
    """
    seen: set[str] = set()
    n_requests = n_here = n_before = n_new = 0
    for entry in entries:
        if len(session.requests) != n_requests:
            if n_requests and not n_new:
                return
            n_requests, n_before, n_here, n_new = len(session.requests), n_here, 0, 0
        n_here += 1
        video_id = str(entry.get("id") or "")
        if video_id and video_id not in seen:
            seen.add(video_id)
            n_new += 1
            yield video_id, entry
        elif not n_new and n_here >= n_before > 0:
            return


def _from_entry(video_id: str, entry: Info, position: int) -> Listed:
    views = entry.get("view_count")
    return Listed(
        video_id,
        position,
        title=str(entry.get("title") or ""),
        channel_id=str(entry.get("channel_id") or ""),
        duration_s=float(entry.get("duration") or 0.0),
        view_count=int(views) if isinstance(views, int | float) else -1,
        live_status=str(entry.get("live_status") or ""),
        availability=str(entry.get("availability") or ""),
        starts_at=int(entry.get("release_timestamp") or 0),
    )


def _listing_row(result: Listed, ask: Ask, round_: int) -> ListingRow:
    return {
        "video_id": result.video_id,
        "source": ask.source,
        "query": ask.query,
        "wanted_category_id": ask.wanted_category_id,
        "position": result.position,
        "title": result.title,
        "channel_id": result.channel_id,
        "duration_s": result.duration_s,
        "view_count": result.view_count,
        "live_status": result.live_status,
        "availability": result.availability,
        "starts_at": result.starts_at,
        "given_spans": result.given_spans,
        "round": round_,
    }


def _source_row(listed: ListedSource, ask: Ask, round_: int) -> SourceRow:
    return {
        "source": ask.source,
        "query": ask.query,
        "wanted_category_id": ask.wanted_category_id,
        "up_to": ask.up_to,
        "n_listed": len(listed.results),
        "cursor": listed.cursor,
        "exhausted": listed.exhausted,
        "reason": listed.reason,
        "detail": listed.detail,
        "round": round_,
    }


@dataclass(frozen=True, slots=True)
class ChooseStage:
    """One unit per round. The driver, which has the ledger, makes the choice; the unit records it."""

    config: CrawlConfig
    plan: RoundPlan
    ledger: CrawlLedger
    opt_outs: Tombstones
    name: str = "choose"
    resources: Resources = Resources(n_cpus=0.5, time_limit_s=600)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.config, self.plan, self.opt_outs  # the ledger stays in the driver: workers get rows

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(("config", "plan", "opt_outs"), state, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "name", "choose")
        object.__setattr__(self, "resources", Resources(n_cpus=0.5, time_limit_s=600))

    def units(self, store: Store) -> Iterator[Unit]:
        """The round's only unit, with its rows; nothing if it is done already."""
        name = self.plan.unit_of_choice
        if store.committed_of(self.name, [name]):
            return
        self.ledger.update()
        again = self.ledger.find_candidates({video_id for video_id, _ in self.plan.due})
        fresh = list(self.ledger.choose(self.plan))
        yield Unit(name, (fresh, [(again[i], attempt) for i, attempt in self.plan.due if i in again]), ())

    def process(self, unit: Unit, context: Context) -> Output:
        """Writes candidates in the order of the listings; rejects those that the listing alone rules out."""
        fresh, again = unit.payload
        candidates, rejects = [], []
        for row in fresh:
            reject = self._reject_of(row)
            rejects += [reject] if reject else []
            candidates.append(_candidate_row(row, self.plan.round, 1, asked=reject is None))
        for row, attempt in again:
            candidates.append(_candidate_row(row, self.plan.round, attempt, asked=True))
        return Output(rows={"candidates": candidates}, rejects=rejects)

    def _reject_of(self, row: ListingRow) -> Reject | None:
        video_id = row["video_id"]
        if named := self.opt_outs.named(video_id, row["channel_id"]):
            return Reject(Reason.OPTED_OUT, video_id, detail=named)
        if not is_site_id(video_id):
            return Reject(Reason.BAD_ID, video_id, detail=f"{row['source']} {row['query']}")
        if row["given_spans"] and not some_usable(json.loads(row["given_spans"])):
            return Reject(Reason.SPAN_OUTSIDE, video_id, detail="no clip in its list has a start before its end")
        if verdict := check_listed(row, self.config.limits):
            until_start_s = row["starts_at"] - time.time()
            wait_s = until_start_s if until_start_s > 0 else self.config.politeness.later_s
            return Reject(verdict[0], video_id, detail=verdict[1], retry_after_s=wait_s)
        return None


def _candidate_row(row: ListingRow, round_: int, attempt: int, *, asked: bool) -> CandidateRow:
    return {
        "video_id": row["video_id"],
        "source": row["source"],
        "query": row["query"],
        "wanted_category_id": row["wanted_category_id"],
        "asked": asked,
        "attempt": attempt,
        "given_spans": row["given_spans"],
        "round": round_,
    }
