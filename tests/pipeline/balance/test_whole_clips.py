"""Hours are kept in whole clips of any length: the total is met to within a clip."""

from collections import Counter
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from manifests.categories import load_categories
from pipeline.balance.ranking import rank_candidates
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from tests.pipeline.balance.worlds import candidates, made

LONGEST_MS = 20_000


@given(st.integers(0, 10**6), st.integers(1, 45), st.sampled_from([1.0, 0.2]))
@example(43, 43, 0.2)
@settings(max_examples=25, deadline=None)
def test_hours_are_met_to_within_a_clip_and_each_category_has_its_share_to_within_one(
    seed: int, n_clips: int, share: float
) -> None:
    dice = Random(seed)
    rows, clips = [], {}
    for category in load_categories():
        for k in range(24):
            lengths = [dice.randrange(4_000, LONGEST_MS) for _ in range(dice.randrange(1, 6))]
            clips[f"v{category.id}-{k}"] = lengths
            rows.append((f"v{category.id}-{k}", category.id, f"{category.id} {k % 12}", len(lengths), sum(lengths)))
    total_ms = n_clips * 12_000
    config = BalanceConfig(unit="hours", total=total_ms / 3.6e6, max_channel_share=share)

    selection = select(rank_candidates(candidates(rows), 0), Outcomes(made(clips)), config)

    kept, by_channel = Counter[int](), Counter[tuple[int, str]]()
    for row in selection.table.to_pylist():
        ms = sum(clips[row["video_id"]][n] for n in row["clips_kept"])
        kept[row["category_id"]] += ms
        by_channel[row["category_id"], row["channel_id"]] += ms
    assert total_ms - LONGEST_MS < kept.total() <= total_ms
    within = LONGEST_MS if share == 1 else 2 * LONGEST_MS  # a channel's cap, too, is met to within a clip
    for category in selection.result.categories:
        ms = kept[category.category_id]
        assert abs(ms - total_ms / 15) < within
        assert category.binding == "share", category
    for (category_id, _), ms in by_channel.items():
        assert ms <= max(LONGEST_MS, share * kept[category_id] + share * LONGEST_MS), "a channel over its share"
