"""What is counted of rows that come in pieces: how often each value occurs, means and percentiles, the first of a draw.

Whatever the pieces, the result is that of all rows at once; memory grows with the different values and not with the
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N = "n"
"""The column that says how often."""
LEAST_WAITING = 65_536
"""Rows of counts that wait before they are added up; more, where there are as many different values."""


class Tally:
    """How often each combination of values of some columns occurs."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema.append(pa.field(N, pa.int64()))
        self._summed = self._schema.empty_table()
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0

    def add(self, rows: pa.Table, times: Ints | None = None) -> None:
        """Counts rows, each once or `times` [N] as often."""
        counts = np.ones(rows.num_rows, np.int64) if times is None else times
        counted = rows.select(self._schema.names[:-1]).append_column(N, pa.array(counts, pa.int64()))
        if times is not None and not times.all():
            counted = counted.filter(pa.array(times > 0))
        self._waiting.append(self._sums([counted]))
        self._n_waiting += self._waiting[-1].num_rows
        if self._n_waiting > max(LEAST_WAITING, self._summed.num_rows):
            self.counts()

    def counts(self) -> pa.Table:
        """The columns and N, a row per combination, in no particular order."""
        if self._waiting:
            self._summed = self._sums([self._summed, *self._waiting])
            self._waiting, self._n_waiting = [], 0
        return self._summed

    def _sums(self, tables: Sequence[pa.Table]) -> pa.Table:
        names = self._schema.names
        summed = pa.concat_tables(tables).group_by(names[:-1], use_threads=False).aggregate([(N, "sum")])
        return summed.select([*names[:-1], f"{N}_sum"]).rename_columns(names)


@dataclass(frozen=True, slots=True)
class Values:
    """Numbers, each with how often it occurs. `values` [K] ascending, `times` [K]."""

    values: Floats
    times: Ints

    @classmethod
    def of(cls, values: Sequence[float] | Floats, times: Sequence[int] | Ints | None = None) -> Values:
        """Of numbers in any order, each once or `times` as often; those that are not a number are left out."""
        given = np.asarray(values, np.float64)
        counts = np.ones(len(given), np.int64) if times is None else np.asarray(times, np.int64)
        known = ~np.isnan(given) & (counts > 0)
        distinct, at = np.unique(given[known], return_inverse=True)
        return cls(distinct, np.bincount(at, weights=counts[known], minlength=len(distinct)).astype(np.int64))

    def __len__(self) -> int:
        return int(self.times.sum())

    def sum(self) -> float:
        """The sum."""
        return float(self.values @ self.times)

    def mean(self) -> float:
        """The mean; not a number if there is none."""
        return self.sum() / len(self) if len(self) else float("nan")

    def percentile(self, q: float) -> float:
        """As numpy's: between two numbers, in proportion."""
        place = q / 100 * (len(self) - 1)
        ends = np.cumsum(self.times)
        low, high = (float(self.values[np.searchsorted(ends, int(at), side="right")]) for at in (place, np.ceil(place)))
        return low + (high - low) * (place - int(place))


class Lowest:
    """Of each kind of rows the `most` with the lowest `drawn` (uint64): a sample that depends on no order."""

    def __init__(self, kinds: Sequence[str], most: int) -> None:
        self._kinds, self._most = list(kinds), most
        self._kept: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Takes up rows with the columns of the kinds and `drawn`."""
        self._kept = [self._lowest(pa.concat_tables([*self._kept, rows]))]

    def rows(self) -> pa.Table | None:
        """The rows, kind after kind, each in the order of the draw; None if there were none."""
        if not self._kept:
            return None
        return self._kept[0].sort_by([(name, "ascending") for name in [*self._kinds, "drawn"]])

    def _lowest(self, rows: pa.Table) -> pa.Table:
        kind = np.zeros(rows.num_rows, np.int64)
        for name in self._kinds:
            encoded = rows.column(name).combine_chunks().dictionary_encode()
            kind = kind * len(encoded.dictionary) + encoded.indices.to_numpy()
        drawn = rows.column("drawn").to_numpy()
        chosen = [self._lowest_of(np.flatnonzero(kind == number), drawn) for number in np.unique(kind)]
        return rows.take(pa.array(np.concatenate([np.zeros(0, np.int64), *chosen])))

    def _lowest_of(self, at: Ints, drawn: NDArray[np.uint64]) -> Ints:
        if len(at) <= self._most:
            return at
        return at[np.argpartition(drawn[at], self._most - 1)[: self._most]]
