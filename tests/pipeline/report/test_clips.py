"""The clips of all shards: the same numbers in pieces of any size, and an even choice of those that are looked at."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.shards import NO_CARD, a_data_set
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.engine.store.store import Store
from pipeline.report import clips
from pipeline.report.clips import evenly, read_clips


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    config = ShardsConfig(max_samples=3, split=SplitConfig(val=0), card=NO_CARD)
    return a_data_set(tmp_path_factory.mktemp("data"), n_videos=7, n_clips=3, videos_a_channel=3, config=config)


@pytest.mark.parametrize("at_a_time", [1, 2, 100])
def test_shards_added_up_a_few_at_a_time_are_the_whole(
    made: Store, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(clips, "SHARDS_AT_A_TIME", at_a_time)
    found = read_clips(made)

    assert (found.n, found.n_shards, len(found.places.videos)) == (19, 7, 7)
    assert found.times("channels") == {("UC-video-0",): 8, ("UC-video-1",): 8, ("UC-video-2",): 3}
    assert sum(found.categories().values()) == len(found.seconds()) == len(found.words()) == 19
    assert found.places.times.sum() == 19 and sorted(found.places.n_clips.tolist()) == [2, 2, 3, 3, 3, 3, 3]
    assert found.drawn.equals(read_clips(made).drawn) and found.drawn.num_rows == 14


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 30))
def test_clips_to_look_at_are_spread_evenly_over_all_shards(sizes: list[int], most: int) -> None:
    of_shards = evenly(sizes, most)
    starts = np.cumsum([0, *sizes])[:-1]
    chosen = [int(start + at) for start, some in zip(starts, of_shards, strict=True) for at in some]

    assert all(0 <= at < size for size, some in zip(sizes, of_shards, strict=True) for at in some.tolist())
    n = sum(sizes)
    assert chosen == sorted({int(x) for x in np.linspace(0, n - 1, min(n, most))} if n else [])
