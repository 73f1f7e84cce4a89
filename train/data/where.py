"""The samples that `data.where` and `data.sample_weight` choose, by the rows beside the shards.

The first rank evaluates both, once per run, and stores a number for each sample, 0 for those left out; the others, and
later starts, read that. Rows are read a few shards at a time, and only the columns that are named.
"""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.embeddings import Scores
from manifests.errors import UserError
from manifests.sample_index import open_index, write_index
from manifests.schema import EMBEDDED, SHARD_ROWS
from manifests.shards import read_shard_rows
from manifests.where import Expression, lines_in, with_flags, with_nulls
from train.data.index import READ_THREADS, Index
from train.sections import DataConfig
from train.whole_file import whole_file

Numbers = npt.NDArray[np.float64]

log = logging.getLogger("hdvila")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the expressions say of each sample of an index."""

    weights: Numbers
    """`[n]` how often it comes in an epoch on average; 0: not at all."""
    n_unknown: int
    """Samples that an expression says nothing of: it is null."""
    unseen_flags: tuple[str, ...] = ()
    """Flags that are named and that no sample has."""

    def describe(self) -> str:
        """What it comes to, in a line."""
        unknown = f", {self.n_unknown} of which nothing is known are left out" if self.n_unknown else ""
        flags = f"; no sample has the flag {', '.join(self.unseen_flags)}" if self.unseen_flags else ""
        n, total = int((self.weights > 0).sum()), float(self.weights.sum())
        weighted = "" if total == n else f", {total:.1f} by weight"
        return f"{n} of {len(self.weights)} samples are chosen{weighted}{unknown}{flags}"


def chosen(index: Index, data: DataConfig, cache: Path) -> Index:
    """The samples of an index that a configuration chooses, with their weights. The index itself if that is all.

    UserError if an expression is wrong or chooses none.
    """
    if not data.where and not data.sample_weight:
        return index
    texts = (data.where, data.sample_weight, data.scores)
    asked = "\n".join([index.manifest.sha256, *(shard.url for shard in index.shards), *texts])
    stem = cache / f"chosen-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    path = stem.with_suffix(".npy")
    if not path.exists():
        choice = choose(index, data)
        log.warning("data.where, data.sample_weight: %s", choice.describe())
        refuse_none(choice, data)
        with whole_file(path) as part:
            np.save(part, choice.weights)
    weights: Numbers = np.load(path, mmap_mode="r")
    if bool((weights == 1).all()):
        return index
    choice_of = hashlib.sha256(weights.tobytes()).hexdigest()
    kept = np.flatnonzero(weights > 0)
    index = replace(_only(index, kept, stem.with_suffix(".arrow"), choice_of), choice=choice_of)
    weights = weights[kept]
    return index if bool((weights == 1).all()) else replace(index, weight=weights)


def _only(index: Index, kept: npt.NDArray[np.int64], path: Path, choice: str) -> Index:
    """The index of these samples alone, in a file that all ranks map."""
    if not path.exists():
        with whole_file(path) as part:
            write_index(index.columns.take(kept), part, choice)
    columns = open_index(path, choice)
    if columns is None:
        raise UserError(f"{path}: is of other samples; delete it")
    return replace(index, columns=columns)


def refuse_none(choice: Choice, data: DataConfig) -> None:
    """Raises UserError if a choice leaves nothing to train on."""
    if not choice.weights.any():
        texts = " and ".join(repr(text) for text in (data.where, data.sample_weight) if text)
        older = "; shards of older data sets lack some columns: `hdvila-pipeline reshard` adds them"
        raise UserError(f"{texts}: {choice.describe()}{older if choice.n_unknown else ''}")


def choose(index: Index, data: DataConfig) -> Choice:
    """Evaluates the expressions for every sample of the index. UserError if one cannot be."""
    expressions = _Expressions(data)
    expressions.of(expressions.blank())
    if expressions.scores:
        expressions.scores.refuse_others(index.manifest, index.shards)
    parts = list(expressions.of_shards(index))
    weights = np.concatenate([weights for weights, _, _ in parts])
    seen = {flag for _, _, flags in parts for flag in flags}
    unseen = tuple(flag for flag in expressions.flags if flag not in seen)
    return Choice(weights, sum(n for _, n, _ in parts), unseen)


class _Expressions:
    def __init__(self, data: DataConfig) -> None:
        self._options = data.storage_options
        texts = {"data.where": data.where, "data.sample_weight": data.sample_weight}
        made = {key: Expression(key, text, self._lines) for key, text in texts.items() if text}
        self._where, self._weight = made.get("data.where"), made.get("data.sample_weight")
        self.flags = sorted({flag for one in made.values() for flag in one.flags})
        named = {name for name in SHARD_ROWS.names if any(one.names(name) for one in made.values())}
        self.scores = Scores(data.scores, **data.storage_options) if data.scores else None
        self._columns = [name for name in SHARD_ROWS.names if name in named | {"key", "status"}]

    def of_shards(self, index: Index) -> Iterator[tuple[Numbers, int, set[str]]]:
        """As `of`, shard by shard, in the order of the index."""
        bounds = np.searchsorted(index.shard, np.arange(len(index.shards) + 1))
        with ThreadPoolExecutor(READ_THREADS) as pool:
            for first in range(0, len(index.shards), 8 * READ_THREADS):
                numbers = range(first, min(first + 8 * READ_THREADS, len(index.shards)))
                for number, rows in zip(numbers, pool.map(lambda n: self._rows(index, n), numbers), strict=True):
                    if (
                        not rows["key"]
                        .combine_chunks()
                        .equals(index.keys.slice(bounds[number], bounds[number + 1] - bounds[number]).cast(pa.string()))
                    ):
                        where = index.manifest.resolve(index.shards[number].rows_url)
                        raise UserError(f"{where}: its rows are not those of the index; restore it")
                    yield self.of(rows)

    def of(self, rows: pa.Table) -> tuple[Numbers, int, set[str]]:
        """(how often each row comes, the number of rows that an expression says nothing of, the named flags there)."""
        seen: set[str] = set()
        if "flags" in rows.column_names:
            rows = with_flags(rows, self.flags)
            flags = rows["flags"].combine_chunks()
            seen = {flag for flag in self.flags if pc.any(flags.field(flag)).as_py()}
        unknown = np.zeros(rows.num_rows, bool)
        weights = np.ones(rows.num_rows)
        if self._where:
            truths = self._where.truths(rows)
            unknown |= truths.is_null().to_numpy(zero_copy_only=False)
            weights *= truths.fill_null(False).cast(pa.float64()).to_numpy()
        if self._weight:
            values = self._weight.numbers(rows)
            unknown |= values.is_null().to_numpy(zero_copy_only=False)
            own = values.fill_null(0.0).to_numpy(zero_copy_only=False)
            if (wrong := np.flatnonzero(~((own >= 0) & (own < _MOST)))).size:
                at = int(wrong[0])
                raise UserError(
                    f"data.sample_weight: is {own[at]:g} for {rows['key'][at]}; weights are 0 or more, and less than "
                    f"{_MOST}"
                )
            weights = weights * own
        return weights, int(unknown.sum()), seen

    def blank(self) -> pa.Table:
        """Rows of which there are none, with every column."""
        rows = SHARD_ROWS.empty_table()
        return self.scores.added(rows, EMBEDDED.empty_table()) if self.scores else rows

    def _rows(self, index: Index, number: int) -> pa.Table:
        shard = index.shards[number]
        rows = read_shard_rows(index.manifest, shard, self._columns, **self._options)
        rows = with_nulls(rows.filter(is_success(rows["status"])))
        return self.scores.added(rows, self.scores.of(shard)) if self.scores else rows

    def _lines(self, name: str) -> list[str]:
        return lines_in(name, **self._options)


_MOST = 1000
"""Weights are less than this: one sample in a thousand places of an epoch is a mistake."""
