"""What the rounds of a crawl aim at, recorded before they start: a killed run has the same aim again.

rounds/wanted/<n>.json     amounts by category, in clips or milliseconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from manifests.categories import UNCATEGORISED_ID
from pipeline.balance.quotas import MS_PER_HOUR, Supply, balance_of, category_weights, from_amount, plan_quotas
from pipeline.balance.result import BalanceResult
from pipeline.config.balance import BalanceConfig
from pipeline.crawl.plan import CategoryState, Wanted
from pipeline.crawl.round_files import category_states
from pipeline.crawl.sources.registry import asks_site

if TYPE_CHECKING:
    from pipeline.run.session import Run

WANTED = "rounds/wanted"
PLENTY = 10**12
"""The assumed supply of a category that is not exhausted, clips or milliseconds: more than any quota."""
MOST_EXTRA = 4.0
"""The most a category's candidates may promise, as a multiple of its quota, if most fetches are lost."""


def last_wanted(run: Run) -> Wanted:
    """What the rounds aim at: the last recorded aim, or, in a new run, each category's share of the total."""
    recorded = run.store.names(WANTED)
    if recorded:
        facts = run.store.read_json(f"{WANTED}/{recorded[-1]}")
        return Wanted({int(i): amount for i, amount in facts["quotas"].items()}, facts["unit"])
    return record(run, aim(balance_of(run.config), {}))


def record(run: Run, wanted: Wanted) -> Wanted:
    """Records an aim before anything is done for it."""
    number = len(run.store.names(WANTED))
    run.lock.check()
    run.store.write_json(f"{WANTED}/{number:05d}.json", {"quotas": dict(wanted.quotas), "unit": wanted.unit})
    return wanted


def wanted_more(run: Run, balance: BalanceResult) -> Wanted | None:
    """The aim of a further crawl: to replace what media lost or a dry category left over; None if there is none."""
    if not asks_site(run.config) or is_full(balance):
        return None
    states = category_states(run.config.crawl, run.store, last_wanted(run))
    wanted = aim_again(balance_of(run.config), balance, states)
    if all(wanted.quotas[i] <= amount for i, amount in last_wanted(run).quotas.items()):
        return None
    return record(run, wanted)


def is_full(result: BalanceResult) -> bool:
    """Whether the requested total has been reached (within one clip in a thousand)."""
    return result.total_asked >= 0 and result.total_kept >= 0.999 * result.total_asked


def aim(config: BalanceConfig, dry: Mapping[int, int]) -> Wanted:
    """Amounts by category, if all except the `dry` ones (category: its supply) had plenty."""
    shares = {i: amount for i, amount in shares_of(config, dry).items() if i != UNCATEGORISED_ID}
    return Wanted({i: from_amount(amount, config.unit) for i, amount in shares.items()}, config.unit)


def shares_of(config: BalanceConfig, dry: Mapping[int, int]) -> dict[int, int]:
    """The same in clips or milliseconds: what each category may have before it is known what others leave over."""
    ids = category_weights(config)
    amounts = {i: dry.get(i, PLENTY) for i in ids}
    within = {i: min(amount, _hours_cap(config)) for i, amount in amounts.items()}
    none_kept = dict.fromkeys(ids, 0)
    quotas = plan_quotas(Supply(amounts, amounts, {}, amounts, none_kept, within), config)
    return {i: q.quota for i, q in quotas.by_category.items()}


def _hours_cap(config: BalanceConfig) -> int:
    return round(config.max_hours_per_category * MS_PER_HOUR) if config.unit == "hours" else PLENTY


def aim_again(config: BalanceConfig, balance: BalanceResult, states: list[CategoryState]) -> Wanted:
    """The aim after a selection that fell short: dry categories leave their share to others; losses are compensated."""
    scale = MS_PER_HOUR if config.unit == "hours" else 1
    made = {c.category_id: c for c in balance.categories}
    dry = {
        s.category_id: round(made[s.category_id].made * scale)
        for s in states
        if s.state == "dry" and s.category_id in made
    }
    quotas = {}
    for category_id, amount in aim(config, dry).quotas.items():
        result = made.get(category_id)
        tried = result.planned - result.reserve if result else 0.0
        lost = min(MOST_EXTRA, tried / result.made) if result and result.made else 1.0
        quotas[category_id] = amount * max(1.0, lost)
    return Wanted(quotas, config.unit)
