"""Stills: inside the clip, in order, and enough of them."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.media import MembersConfig
from pipeline.media.cutting.span import Span
from pipeline.media.members.stills import still_times_ms


@given(st.integers(1, 120_000), st.floats(0.5, 10), st.integers(1, 8))
def test_stills_lie_inside_the_clip_in_order_and_are_enough(duration_ms: int, every_s: float, least: int) -> None:
    config = MembersConfig(still_every_s=every_s, min_stills=least)
    times = still_times_ms(Span(0, 500, 500 + duration_ms), config)
    assert times == sorted(times)
    assert all(0 <= t < duration_ms for t in times)
    assert len(times) >= least
    assert len(times) >= duration_ms / (every_s * 1000) - 1
