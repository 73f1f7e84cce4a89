"""Water-filling: all that is asked, as even as the limits allow, and never less for more supply."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.water_fill import water_fill

amounts = st.integers(0, 1000)
buckets = st.lists(st.tuples(st.fractions(0, 20, max_denominator=10), amounts, amounts), min_size=1, max_size=15)


@given(buckets, st.integers(0, 8000))
@settings(max_examples=50)
def test_water_filling_gives_all_that_is_asked_where_the_limits_allow(rows: list, total: int) -> None:
    weights = [w for w, _, _ in rows]
    floors, limits = [min(a, b) for _, a, b in rows], [max(a, b) for _, a, b in rows]
    filled = water_fill(weights, floors, limits, total)
    most = sum(limit if w else floor for w, floor, limit in zip(weights, floors, limits, strict=True))
    assert sum(filled) == max(sum(floors), min(total, most))
    assert all(low <= x <= high for low, x, high in zip(floors, filled, limits, strict=True))


@given(buckets, st.integers(0, 8000))
@settings(max_examples=50)
def test_no_bucket_that_could_take_more_is_below_another_by_more_than_a_rounding(rows: list, total: int) -> None:
    weights, limits = [w for w, _, _ in rows], [b for _, _, b in rows]
    filled = water_fill(weights, [0] * len(rows), limits, total)
    levels = [Fraction(x - 1, 1) / w for w, x in zip(weights, filled, strict=True) if w and x > 0]
    open_ = [Fraction(x + 1) / w for w, x, m in zip(weights, filled, limits, strict=True) if w and x < m]
    assert not levels or not open_ or max(levels) <= min(open_)


@given(buckets, st.integers(0, 8000), st.integers(1, 500), st.integers(0, 14))
def test_more_supply_never_makes_a_category_or_the_total_smaller(rows: list, total: int, more: int, which: int) -> None:
    weights, limits = [w for w, _, _ in rows], [b for _, _, b in rows]
    which %= len(rows)
    grown = [m + more * (i == which) for i, m in enumerate(limits)]
    floors = [0] * len(rows)
    old, new = water_fill(weights, floors, limits, total), water_fill(weights, floors, grown, total)
    assert sum(new) >= sum(old)
    assert new[which] >= old[which]
    assert all(b <= a + 1 for i, (a, b) in enumerate(zip(old, new, strict=True)) if i != which)
