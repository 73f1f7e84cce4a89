"""The selection: no cap exceeded, a row and a reason for every candidate, and what is in shards stays."""

from collections import Counter, defaultdict
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from manifests.schema import SELECTION
from pipeline.balance.clip_lists import ClipLists, clip_lists
from pipeline.balance.quotas import to_amount
from pipeline.balance.ranking import rank_candidates
from pipeline.balance.selection import Selection, select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from tests.pipeline.balance.worlds import (
    MUSIC,
    UNCATEGORISED,
    any_configs,
    away,
    candidates,
    kept_by,
    limited_worlds,
    made,
    worlds,
)


@given(worlds(), any_configs)
@settings(max_examples=50)
def test_no_cap_is_ever_exceeded_and_every_candidate_has_its_row(world: tuple, config: BalanceConfig) -> None:
    table, clips = world
    ranked = rank_candidates(table, 0)
    selection = select(ranked, Outcomes(made(clips)), config)
    assert pa.concat_tables(selection.pieces(3)).equals(selection.table)
    assert selection.table.schema.equals(SELECTION)
    assert sorted(selection.table.column("video_id").to_pylist()) == sorted(table.column("video_id").to_pylist())
    in_category: dict = defaultdict(int)
    in_channel: dict = defaultdict(int)
    n_in_channel: dict = defaultdict(int)
    hours: dict = defaultdict(int)
    for row in selection.table.to_pylist():
        lengths = [clips[row["video_id"]][n] for n in row["clips_kept"]]
        assert row["hours_kept"] == pytest.approx(sum(lengths) / 3.6e6)
        assert row["clips_kept"] == list(range(len(lengths)))
        assert row["kept"] == bool(lengths) == (row["reason"] == "")
        amount = {"clips": len(lengths), "hours": sum(lengths), "videos": bool(lengths)}[config.unit]
        in_category[row["category_id"]] += amount
        hours[row["category_id"]] += sum(lengths) / 3.6e6
        in_channel[row["category_id"], row["channel_id"]] += amount
        n_in_channel[row["category_id"], row["channel_id"]] += len(lengths)
    for category_id, quota in selection.quotas.by_category.items():
        assert in_category[category_id] <= quota.quota
        assert hours[category_id] <= config.max_hours_per_category + 1e-9
        for (category, channel), amount in in_channel.items():
            if category == category_id and channel and quota.channel_cap is not None:
                assert amount <= quota.channel_cap or n_in_channel[category, channel] == 1
    if config.total is not None:
        assert sum(in_category.values()) <= to_amount(config.total, config.unit)


@given(worlds(), st.integers(1, 100))
@settings(max_examples=40)
def test_the_total_is_as_large_as_asked_where_the_supply_allows(world: tuple, total: int) -> None:
    table, clips = world
    config = BalanceConfig(unit="clips", total=total)
    selection = select(rank_candidates(table, 0), Outcomes(made(clips)), config)
    kept = kept_by(selection, "category_id")
    categories = dict(zip(*(table.column(c).to_pylist() for c in ("video_id", "category_id")), strict=True))
    supply = sum(len(c) for v, c in clips.items() if categories[v] != UNCATEGORISED)
    assert sum(n for c, n in kept.items() if c != UNCATEGORISED) == min(total, supply)
    uncategorised = sum(len(c) for v, c in clips.items() if categories[v] == UNCATEGORISED)
    assert kept[UNCATEGORISED] == min(max(0, total - supply), uncategorised), "what the categories leave"


def test_one_busy_channel_cannot_fill_a_category() -> None:
    rows = [(f"big{i}", MUSIC, "big", 10, 10_000) for i in range(100)]
    rows += [(f"small{i}", MUSIC, f"s{i}", 10, 10_000) for i in range(12)]
    clips = {row[0]: [1_000] * 10 for row in rows}
    config = BalanceConfig(unit="clips", max_channel_share=0.25)
    selection = select(rank_candidates(candidates(rows), 0), Outcomes(made(clips)), config)
    by_channel = kept_by(selection, "channel_id")
    assert by_channel["big"] == 40 and by_channel.total() == 160  # 40 is a quarter of 160
    reasons = Counter(selection.table.column("reason").to_pylist())
    assert reasons[Reason.OVER_CHANNEL_CAP] == 96
    assert next(c for c in selection.result.categories if c.category_id == MUSIC).binding == "channel_share"


def test_the_last_video_is_taken_in_part_so_that_a_quota_is_met_to_the_clip() -> None:
    rows = [(f"v{i}", MUSIC, "", 10, 100_000) for i in range(10)]
    clips = {row[0]: [10_000] * 10 for row in rows}
    selection = select(
        rank_candidates(candidates(rows), 0), Outcomes(made(clips)), BalanceConfig(unit="clips", total=37)
    )
    kept = [row["clips_kept"] for row in selection.table.sort_by("rank").to_pylist() if row["kept"]]
    assert kept == [list(range(10))] * 3 + [list(range(7))]


def test_clips_of_committed_shards_stay_and_count_first() -> None:
    rows = [(f"v{i}", MUSIC, "", 4, 4000) for i in range(6)]
    ranked = rank_candidates(candidates(rows), 0)
    last = ranked.video_id.to_pylist()[-1]
    clips = made({v: [1000] * 4 for v in ranked.video_id.to_pylist()})
    held = clip_lists([pa.table({"video_id": [last, last], "n": [0, 2], "duration_ms": [1000, 1000]})])
    config = BalanceConfig(unit="clips", total=7)
    rejects = away({last: Reason.PRIVATE})  # gone from the site since: what is in shards stays
    selection = select(ranked, Outcomes(clips, rejects, already_kept=held), config)
    kept = {row["video_id"]: row["clips_kept"] for row in selection.table.to_pylist() if row["kept"]}
    assert kept.pop(last) == [0, 2]
    assert sum(map(len, kept.values())) == 5
    smaller = select(ranked, Outcomes(clips, already_kept=held), BalanceConfig(unit="clips", total=1))
    assert [r["clips_kept"] for r in smaller.table.to_pylist() if r["kept"]] == [[0, 2]]


@given(worlds(), any_configs)
@settings(max_examples=40)
def test_balancing_again_what_is_in_shards_by_now_changes_nothing(world: tuple, config: BalanceConfig) -> None:
    table, clips = world
    ranked = rank_candidates(table, 0)
    first = select(ranked, Outcomes(made(clips)), config)
    again = select(ranked, Outcomes(made(clips), already_kept=kept_lists(first, clips)), config)
    assert again.table.equals(first.table)
    assert again.result == first.result


@given(worlds(), any_configs, any_configs)
@settings(max_examples=30)
def test_what_is_in_shards_stays_under_any_later_setting(
    world: tuple, config: BalanceConfig, later: BalanceConfig
) -> None:
    table, clips = world
    ranked = rank_candidates(table, 0)
    first = select(ranked, Outcomes(made(clips)), config)
    second = select(ranked, Outcomes(made(clips), already_kept=kept_lists(first, clips)), later)
    for old, new in zip(first.table.to_pylist(), second.table.to_pylist(), strict=True):
        assert new["clips_kept"] == old["clips_kept"] or not old["kept"]


def kept_lists(selection: Selection, clips: dict[str, list[int]]) -> ClipLists:
    """What a selection kept, as clips in committed shards are given."""
    rows = [(row["video_id"], n) for row in selection.table.to_pylist() for n in row["clips_kept"]]
    columns = {"video_id": [v for v, _ in rows], "n": [n for _, n in rows]}
    return clip_lists([pa.table({**columns, "duration_ms": [clips[v][n] for v, n in rows]})])


@given(limited_worlds())
@settings(max_examples=50, deadline=None)
def test_every_limit_holds_of_what_is_kept_and_each_category_names_what_binds(world: tuple) -> None:
    table, clips, config = world
    selection = select(rank_candidates(table, 0), Outcomes(made(clips)), config)
    in_category, in_channel, ms = Counter[int](), Counter[tuple[int, str]](), Counter[int]()
    made_clips, made_ms = Counter[int](), Counter[int]()
    for row in selection.table.to_pylist():
        category, lengths = row["category_id"], clips[row["video_id"]]
        made_clips[category] += len(lengths)
        made_ms[category] += sum(lengths)
        in_category[category] += len(row["clips_kept"])
        in_channel[category, row["channel_id"]] += len(row["clips_kept"])
        ms[category] += sum(lengths[n] for n in row["clips_kept"])
    cap_ms = config.max_hours_per_category * 3.6e6
    for (category, channel), n in in_channel.items():
        if channel and config.max_channel_share < 1:
            share = Fraction(str(config.max_channel_share)) * in_category[category]
            assert n <= max(1, int(share)), (category, channel, in_category[category])
    for facts in selection.result.categories:
        assert ms[facts.category_id] <= cap_ms
        assert facts.binding != "already_kept"  # there is no earlier generation
        cut_by_hours = made_ms[facts.category_id] > cap_ms and config.max_channel_share == 1 and config.total is None
        if cut_by_hours:
            assert facts.binding == "hours_cap", facts
            assert "ran dry" not in facts.why
        if facts.binding == "supply":
            assert in_category[facts.category_id] == made_clips[facts.category_id]


def test_the_channel_share_is_of_what_the_cap_in_hours_leaves() -> None:
    """Twelve clips are promised and seven fit into the hours: a channel with half of twelve would hold six of seven."""
    rows = [(f"a{i}", MUSIC, "big", 1, 10_000) for i in range(6)] + [
        (f"b{i}", MUSIC, f"s{i}", 1, 10_000) for i in range(6)
    ]
    clips = {row[0]: [10_000] for row in rows}
    config = BalanceConfig(unit="clips", max_channel_share=0.5, max_hours_per_category=75_000 / 3.6e6)
    for seed in range(20):
        selection = select(rank_candidates(candidates(rows), seed), Outcomes(made(clips)), config)
        kept = kept_by(selection, "channel_id")
        assert kept["big"] <= max(1, kept.total() // 2), (seed, kept)
        assert next(c for c in selection.result.categories if c.category_id == MUSIC).binding == "hours_cap"
