"""Counts, means, percentiles and draws of pieces are those of the whole, whatever the pieces."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report import tally
from pipeline.report.tally import Lowest, Tally, Values

SCHEMA = pa.schema([("channel", pa.string()), ("words", pa.int32())])
PIECES = st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 2)), max_size=8))


def rows_of(piece: list[tuple[str, int, int]]) -> pa.Table:
    columns = list(zip(*piece, strict=True)) or [(), ()]
    return pa.table([pa.array(column) for column in columns[:2]], schema=SCHEMA)


@given(PIECES, st.booleans(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_values_are_counted_alike_in_pieces_of_any_size(pieces: Any, is_weighted: bool, waiting: int) -> None:
    counts, expected = Tally(SCHEMA), Counter[tuple[str, int]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "LEAST_WAITING", waiting)
        for piece in pieces:
            times = np.array([t for _, _, t in piece], np.int64)
            counts.add(rows_of(piece), times if is_weighted else None)
            expected.update([(c, w) for c, w, t in piece for _ in range(t if is_weighted else 1)])

    found = {(row["channel"], row["words"]): row["n"] for row in counts.counts().to_pylist()}
    assert found == dict(expected)


@given(st.lists(st.tuples(st.floats(-50, 50), st.integers(0, 4)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_means_and_percentiles_are_those_of_all_numbers(given_: list[tuple[float, int]]) -> None:
    whole = np.repeat([x for x, _ in given_], [n for _, n in given_])
    values = Values.of([*(x for x, _ in given_), float("nan")], [*(n for _, n in given_), 3])

    assert len(values) == len(whole)
    for q in (0, 5, 50, 95, 99, 100) if len(whole) else ():
        assert values.percentile(q) == pytest.approx(np.percentile(whole, q), rel=1e-12, abs=1e-12)
    assert len(whole) == 0 or values.mean() == pytest.approx(whole.mean(), rel=1e-9, abs=1e-12)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=30), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_a_draw_takes_the_lowest_of_each_kind_whatever_the_pieces(kinds: list[tuple[str, str]], size: int) -> None:
    drawn = np.random.default_rng(3).permutation(len(kinds)).astype(np.uint64) + np.uint64(2**63)
    columns = list(zip(*kinds, strict=True)) or [(), ()]
    rows = pa.table({"stage": pa.array(columns[0], pa.string()), "reason": pa.array(columns[1], pa.string())})
    rows = rows.append_column("drawn", pa.array(drawn, pa.uint64()))
    lowest = Lowest(["stage", "reason"], 2)
    for first in range(0, len(kinds), size):
        lowest.add(rows.slice(first, size))

    found = lowest.rows()
    expected = [
        int(at)
        for kind in sorted(set(kinds))
        for at in sorted(int(drawn[k]) for k, other in enumerate(kinds) if other == kind)[:2]
    ]
    assert (found.column("drawn").to_pylist() if found else []) == expected
