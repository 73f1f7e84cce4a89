"""Quotas and configuration: water-filling, shares and caps, for every supply."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.categories import load_categories
from pipeline.balance.quotas import category_weights, plan_quotas, supply_of
from pipeline.balance.ranking import rank_candidates
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig, Unit
from tests.pipeline.balance.worlds import FILM, MUSIC, NEWS, SPORTS, candidates, kept_by, limited_worlds, made


def test_what_a_short_category_lacks_goes_evenly_to_the_others() -> None:
    rows = [(f"m{i}", MUSIC, "", 1, 1000) for i in range(3)]
    rows += [(f"s{i}", SPORTS, "", 1, 1000) for i in range(100)]
    rows += [(f"n{i}", NEWS, "", 1, 1000) for i in range(100)]
    clips = {row[0]: [1000] for row in rows}
    config = BalanceConfig(unit="clips", total=65)
    selection = select(rank_candidates(candidates(rows), 0), Outcomes(made(clips)), config)
    assert kept_by(selection, "category_id") == {MUSIC: 3, SPORTS: 31, NEWS: 31}
    by_id = {c.category_id: c for c in selection.result.categories}
    assert by_id[MUSIC].binding == "supply" and "ran dry" in by_id[MUSIC].why
    assert by_id[SPORTS].binding == "share"
    assert by_id[FILM].binding == "supply" and "nothing found" in by_id[FILM].why


def test_as_many_videos_of_each_category_however_many_clips_they_give() -> None:
    rows = [(f"{c}-{i}", c, "", n, n * 1000) for c, n in ((MUSIC, 1), (SPORTS, 40), (NEWS, 5)) for i in range(20)]
    ranked = rank_candidates(candidates(rows), 0)
    config = BalanceConfig(policy="weights", weights={"10": 1, "17": 1, "25": 2}, unit="videos", total=40)
    selection = select(ranked, Outcomes(made({row[0]: [1000] * row[3] for row in rows})), config)
    assert kept_by(selection, "category_id") == {MUSIC: 10, SPORTS: 400, NEWS: 100}, "each whole"
    assert selection.result.total_asked == selection.result.total_kept == 40
    assert {c.category_id: c.kept for c in selection.result.categories if c.kept} == {MUSIC: 10, SPORTS: 10, NEWS: 20}


def test_policies_follow_the_paper_and_own_weights() -> None:
    assert category_weights(BalanceConfig(policy="hd-vila"))[NEWS] == 10.4
    own = category_weights(BalanceConfig(policy="weights", weights={"Music": 3, "17": 1}))
    assert own[MUSIC] == 3 and own[SPORTS] == 1 and own[NEWS] == 0
    rows = [(f"{c}-{i}", c, "", 1, 1000) for c in (MUSIC, SPORTS, NEWS) for i in range(100)]
    config = BalanceConfig(policy="weights", weights={"Music": 3, "17": 1}, unit="clips", total=80)
    selection = select(rank_candidates(candidates(rows), 0), Outcomes(made({r[0]: [1000] for r in rows})), config)
    assert kept_by(selection, "category_id") == {MUSIC: 60, SPORTS: 20, NEWS: 0}
    assert {c.category_id: c.binding for c in selection.result.categories}[NEWS] == "not_asked"


def test_the_cap_of_a_category_in_hours_holds_whatever_the_unit() -> None:
    rows = [(f"m{i}", MUSIC, "", 10, 100_000) for i in range(100)]
    clips = {row[0]: [10_000] * 10 for row in rows}
    for unit in ("clips", "hours", "videos"):
        config = BalanceConfig(unit=unit, max_hours_per_category=1.0)
        result = select(rank_candidates(candidates(rows), 0), Outcomes(made(clips)), config).result
        assert result.hours_kept == pytest.approx(1.0)
        assert next(c for c in result.categories if c.category_id == MUSIC).binding == "hours_cap"


def test_too_few_channels_for_the_share_are_named_as_the_limit() -> None:
    rows = [(f"v{i}", MUSIC, "only", 10, 10_000) for i in range(10)]
    config = BalanceConfig(unit="clips", max_channel_share=0.2)
    ranked = rank_candidates(candidates(rows), 0)
    supply = supply_of(ranked, config, ranked.planned("clips"), ranked.clips_ms)
    quota = plan_quotas(supply, config).by_category[MUSIC]
    assert quota.binding == "channel_share" and quota.quota == 1


def fill_one_by_one(weights: list[float], limits: list[int], total: int | None) -> list[int]:
    """Water-filling as anybody would do it by hand: clip by clip to the category that has least for its weight."""
    filled = [0] * len(limits)
    while total is None or sum(filled) < total:
        open_ = [k for k, w in enumerate(weights) if w and filled[k] < limits[k]]
        if not open_:
            break
        filled[min(open_, key=lambda k: (Fraction(filled[k] + 1) / Fraction(str(weights[k])), k))] += 1
    return filled


@given(limited_worlds())
@settings(max_examples=40, deadline=None)
def test_quotas_are_those_of_a_water_filling_by_hand(world: tuple) -> None:
    table, clips, config = world
    config = config.model_copy(update={"max_channel_share": 1.0, "max_hours_per_category": 30_000.0})
    ranked = rank_candidates(table, 0)
    selection = select(ranked, Outcomes(made(clips)), config)
    weights = category_weights(config)
    ids = list(weights)
    supply = Counter[int]()
    for row in table.to_pylist():
        supply[row["category_id"]] += len(clips[row["video_id"]])
    by_hand = fill_one_by_one([weights[i] for i in ids], [supply[i] for i in ids], config.total)
    ours = [selection.quotas.by_category[i].quota for i in ids]
    assert sum(ours) == sum(by_hand)
    assert all(abs(a - b) <= 1 for a, b in zip(ours, by_hand, strict=True)), (ours, by_hand)


def by_hand(channels: Counter[str], share: Fraction, amount: int) -> bool:
    """Whether channels with so many clips can give this amount, none more than its share of it but each one clip."""
    return sum(min(n, max(1, int(share * amount))) for n in channels.values()) >= amount


@st.composite
def small_worlds(draw: st.DrawFn) -> list[tuple[str, int, str, int, int]]:
    """Candidates in 15 categories, a few clips in a few channels each: quotas are near one clip."""
    counts = draw(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 5)), min_size=15, max_size=70))
    ids = [category.id for category in load_categories()]
    return [(f"v{k}", ids[k * 7 % 15], channel, n, n * 10_000) for k, (channel, n) in enumerate(counts)]


UNITS = ("clips", "videos", "hours")


def check_small(rows: list, total: int, unit: Unit, share: str) -> None:
    """Clips are of equal length: as many fit into hours as where they are counted."""
    amount_asked = total / 360 if unit == "hours" else total
    config = BalanceConfig(unit=unit, total=amount_asked, max_channel_share=float(share))
    selection = select(
        rank_candidates(candidates(rows), 0), Outcomes(made({r[0]: [10_000] * r[3] for r in rows})), config
    )
    there: dict[int, Counter[str]] = {category.id: Counter() for category in load_categories()}
    kept: dict[int, Counter[str]] = {category.id: Counter() for category in load_categories()}
    for row in selection.table.to_pylist():
        there[row["category_id"]][row["channel_id"]] += 1 if unit == "videos" else row["n_clips"]
        kept[row["category_id"]][row["channel_id"]] += row["kept"] if unit == "videos" else len(row["clips_kept"])
    left = total - sum(channels.total() for channels in kept.values())
    assert left >= 0
    for category in selection.result.categories:
        mine, supply = kept[category.category_id], there[category.category_id]
        amount, exact = mine.total(), Fraction(total, 15)
        assert max(mine.values(), default=0) <= max(1, Fraction(share) * amount), "a channel over its share"
        is_exact = unit != "hours" or share == "1"  # hours have no steps by which several channels grow together
        more = range(amount + 1, min(amount + left, supply.total()) + 1) if is_exact else ()
        assert not any(by_hand(supply, Fraction(share), x) for x in more), "the total could be larger"
        is_there = amount > exact - 1 and supply
        assert not ("ran dry" in category.why and (is_there or amount < supply.total())), category
        assert not ("too few channels" in category.why and is_there and not left), category


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("total", [1, 7, 14, 15, 16, 29, 31, 45])
def test_totals_near_one_clip_a_category_are_met_and_none_is_called_short(total: int, unit: Unit) -> None:
    rows = [
        (f"v{c.id}-{k}", c.id, "abc"[k % 3], 1 + (c.id + k) % 3, 10_000)
        for c in load_categories()
        for k in range(c.id % 5)
    ]
    check_small(rows, total, unit, "1")
    check_small(rows, total, unit, "0.5")


@given(
    small_worlds(),
    st.integers(1, 60),
    st.sampled_from(["clips", "videos", "hours"]),
    st.sampled_from(["1", "0.5", "0.34"]),
)
@settings(max_examples=80, deadline=None)
def test_what_rounding_does_to_small_quotas_is_less_than_a_clip(rows: list, total: int, unit: Unit, share: str) -> None:
    check_small(rows, total, unit, share)
