"""Times of packets and frames are reckoned in whole numbers, to the same result as by fractions."""

import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.cutting.span import source_ms, ticks_of, whole_ms

BASES = st.builds(
    Fraction, st.sampled_from([1, 2, 1001]), st.sampled_from([24, 1000, 12_800, 30_000, 44_100, 48_000, 90_000])
)
MOMENTS = st.builds(Fraction, st.integers(-5_000, 900_000), st.sampled_from([7, 1000, 90_000]))
TIMES = st.integers(-(10**6), 10**10)


@given(BASES, BASES, MOMENTS, TIMES)
def test_ticks_of_an_mp4_are_rounded_as_fractions_are(of: Fraction, to: Fraction, base_s: Fraction, time: int) -> None:
    assert ticks_of(of, to, base_s)(time) == round((time * of - base_s) / to)


@given(BASES, MOMENTS, TIMES)
def test_whole_milliseconds_are_rounded_down(base: Fraction, zero_s: Fraction, tick: int) -> None:
    source: Any = SimpleNamespace(zero_s=zero_s)
    assert whole_ms(source, base)(tick) == math.floor(source_ms(tick, source, base))
