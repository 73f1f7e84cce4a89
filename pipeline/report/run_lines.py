"""Shows on a terminal how a run is doing, from the small file that its driver keeps, and from its tables."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from manifests.run_status import RunStatus, StageStatus
from manifests.stages import n_units
from manifests.time_left import left_in_words, length_of
from pipeline.report.status import Status
from pipeline.site.api_quota import describe_quota
from pipeline.site.identities import IdentityState, PolitenessState
from pipeline.site.pauses import describe_pauses

MOST_MACHINES = 3
"""Of those that lost attempts, so many are named."""
MOST_IDENTITIES = 10
"""Of more, only those that are paused or odd have a line of their own, and no more than these."""


def print_run(status: RunStatus, console: Console, now: float) -> None:
    """Prints the run's state and each stage's progress; `now` in seconds since 1970, by this machine's clock."""
    console.print(headline(status, now), highlight=False, markup=False, soft_wrap=True)
    if not status.stages:
        return
    table = Table("stage", "done", "of", "", "in flight", "a busy hour", "bytes", "rejected", box=None)
    for stage in status.stages:
        rejected = _rejected(stage).total()
        units = n_units(stage.total or 2, stage.stage).partition(" ")[2]
        numbers = (_done(stage), _planned(stage), units, str(stage.in_flight), f"{stage.per_hour:,.0f}")
        bytes_ = decimal(stage.bytes) if stage.bytes else ""
        table.add_row(stage.stage, *numbers, bytes_, f"{rejected:,}" if rejected else "")
    console.print(table)
    for stage in status.stages:
        if _rejected(stage) and _rejected(stage) != Counter(status.rejects_in_force.get(stage.stage)):
            _print_reasons(f"{stage.stage}: rejected so far", _rejected(stage), console)
    for name, counts in status.rejects_in_force.items():
        _print_reasons(f"{name}: videos rejected without a replacement", Counter(counts), console)
    for stage in status.stages:
        if stage.losses:
            console.print(f"{stage.stage}: attempts lost: {_losses(stage)}", highlight=False, markup=False)


def _rejected(stage: StageStatus) -> Counter[str]:
    return Counter(stage.rejects) + Counter(stage.rejects_before)


def _losses(stage: StageStatus) -> str:
    """How attempts were lost, and on which machines most."""
    by_end: dict[str, Counter[str]] = {}
    for what, n in stage.losses.items():
        machine, _, end = what.rpartition(": ")
        by_end.setdefault(end, Counter())[machine] += n
    return "; ".join(f"{machines.total()} {end} ({_most(machines)})" for end, machines in by_end.items())


def _most(machines: Counter[str]) -> str:
    shown = machines.most_common(MOST_MACHINES)
    others = machines.total() - sum(n for _, n in shown)
    return ", ".join(f"{n} on {machine}" for machine, n in shown) + (f", {others} elsewhere" if others else "")


def _print_reasons(what: str, counts: Counter[str], console: Console) -> None:
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in counts.most_common())
    console.print(f"{what}: {reasons}", highlight=False, markup=False)


def print_tables(status: Status, console: Console, n_sources: int) -> None:
    """Prints what the tables say: rows, rejects, categories, and the sources with the best yield."""
    console.print(", ".join(f"{n} {table}" for table, n in status.rows.items()), highlight=False)
    rejects = Table("stage", "reason", "videos or clips", box=None)
    for stage, counts in status.rejects.items():
        for reason, n in counts.items():
            rejects.add_row(stage, reason, str(n))
    console.print(rejects)
    if status.waiting:
        console.print(f"{status.waiting} were refused temporarily; the first is tried again after {status.next_try_at}")
    console.print(_categories(status))
    console.print(_sources(status, n_sources))
    if status.pace:
        console.print(status.pace, highlight=False)


def _categories(status: Status) -> Table:
    quota = f"quota, {status.unit}" if status.unit else "quota"
    table = Table("category", "videos", "planned clips", "hours", quota, "crawl", box=None)
    for row in status.categories:
        numbers = str(row["videos"]), str(row["clips"]), f"{row['hours']:.2f}", f"{row['quota']:.1f}"
        table.add_row(row["name"], *numbers, f"{row['state']} {row['why']}".strip())
    return table


def _sources(status: Status, n_sources: int) -> Table:
    table = Table("source", "query", "listed", "kept", "", box=None)
    for source in status.sources[:n_sources]:
        end = source["reason"] or ("at its end" if source["exhausted"] else "")
        table.add_row(source["source"], source["query"], str(source["listed"]), str(source["kept"]), end)
    return table


def print_identities(state: PolitenessState, console: Console, *, is_over: bool = False) -> None:
    """Prints the identities: pauses, requests, answers, refusals, the share of rejects, and the next token; unless the
    run is over, also how many videos an hour their rates allow.
    """
    identities = state.get("identities", [])
    if not identities:
        return
    table = Table("identity", "requests", "answers", "refusals", "rejected", "next token", "", box=None)
    odd = [identity for identity in identities if _note(identity) or identity["paused_s"] > 0]
    shown = identities if len(identities) <= MOST_IDENTITIES else odd[:MOST_IDENTITIES]
    for identity in shown:
        share, token_s = identity.get("reject_share", 0.0), identity.get("next_token_s", 0.0)
        table.add_row(identity["name"], *_counts([identity]), f"{share:.0%}", length_of(token_s), _note(identity))
    if others := [identity for identity in identities if identity not in shown]:
        table.add_row(f"{len(others)} others" if shown else f"all {len(others)}", *_counts(others), "", "", "")
    console.print(table)
    if state.get("binds") and not is_over:
        allowed = f"the rates allow at most {state['videos_per_hour']:,.0f} videos an hour; {state['binds']} binds"
        console.print(allowed, highlight=False, markup=False)
    console.print(describe_pauses(state) or "no identity is paused", highlight=False, markup=False)
    if quota := describe_quota(state.get("data_api", {}), time.time()):
        console.print(quota, highlight=False, markup=False)


def _counts(identities: Sequence[IdentityState]) -> list[str]:
    """Requests, answers and refusals of identities together."""
    n_requests = sum(sum(identity.get("requests", {}).values()) for identity in identities)
    n_answers = sum(identity.get("answers", 0) for identity in identities)
    n_refusals = sum(identity.get("refusals", 0) for identity in identities)
    return [f"{n:,}" for n in (n_requests, n_answers, n_refusals)]


def _note(identity: IdentityState) -> str:
    """What is odd about an identity, but for its pause."""
    paused_s = identity.get("captions_paused_s", 0.0)
    return f"captions paused for another {paused_s:.0f} s" if paused_s > 0 else ""


def result_line(head: Mapping[str, Any], status: RunStatus | None, now: float) -> str:
    """What there is, in a line: clips of those asked for, hours, shards, and how long the last run took.

    `head`: manifest.json, {} before the first.
    """
    if not head:
        return "no shard yet"
    totals, balance = head["totals"], head.get("balance", {})
    asked, unit = balance.get("total_asked", -1), balance.get("unit", "")
    clips, hours = f"{totals['samples']:,} clips", f"{totals['hours']:,.2f} h"
    if asked >= 0 and unit == "clips":
        clips = f"{totals['samples']:,} of {asked:,.0f} clips"
    elif asked >= 0 and unit == "hours":
        hours = f"{totals['hours']:,.2f} of {asked:,g} h"
    parts = [clips, hours, f"{totals['shards']:,} shards"]
    if status and status.state == "ended":
        how = "took" if status.exit_code == 0 else "stopped after"
        parts.append(f"the last run {how} {length_of(status.updated_at - status.started_at)}")
    elif status and status.is_alive(now):
        parts.append("so far")
    return ", ".join(parts)


def headline(status: RunStatus, now: float) -> str:
    """A headline: the state, the machine, since when, and why."""
    where = f"{status.host} pid {status.pid}"
    age_s = now - status.updated_at
    if status.state == "ended":
        how = f"exit {status.exit_code}" + (f": {status.detail}" if status.detail else "")
        return f"ended {length_of(age_s)} ago on {where}, {how}"
    since = f"for {length_of(now - status.started_at)} on {where}"
    if not status.is_alive(now):
        was = f"no sign of life for {length_of(age_s)}; was {status.state} on {where}"
        return f"{was}. Run the same command again to continue"
    left = "" if status.time_left_s is None else f", {left_in_words(status.time_left_s)}"
    return f"{status.state} {since}{left}" + (f" ({status.detail})" if status.detail else "")


def _planned(stage: StageStatus) -> str:
    """The total of units; or those known so far, with a +, if more may follow."""
    return f"{stage.total:,}" if stage.total else f"{stage.done_before + stage.known:,}+"


def _done(stage: StageStatus) -> str:
    return f"{stage.done_before + stage.done:,}"
