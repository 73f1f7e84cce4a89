"""The file that the page asks: models' scores are columns, and numbers are counted between round edges."""

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.parquet import parquet_bytes
from pipeline.browse.filters import equal_statement
from pipeline.browse.rows import Rows
from pipeline.browse.rows_file import _edges_within
from pipeline.engine.store.store import Store
from pipeline.query.ask import ask
from tests.pipeline.browse.conftest import a_run


@pytest.fixture
def scored(tmp_path: Path) -> Store:
    """A run with the tables of two models, which say nothing of some clips, and have other columns besides numbers."""
    store = a_run(tmp_path / "out")
    for k, model in enumerate(("0first", "1second")):
        for path in Path(store.root).glob("shards/*/*.parquet"):
            keys = pq.ParquetFile(path).read(["key"])["key"].to_pylist()
            rows = {"key": keys, "match": [k - i - 0.5 for i in range(len(keys))], "why": ["a text"] * len(keys)}
            rows |= {"Fits": [i if i % 2 else None for i in range(len(keys))], "video": [[1.0]] * len(keys)}
            store.write(f"embeddings/{model}/{path.parent.name}-{path.stem}.parquet", parquet_bytes(pa.table(rows)))
    return store


@pytest.mark.parametrize(
    "line", ["match:<0", "match_1secon:>0", "fits:1..<4", "-fits:>2", "match:<=25% sort:match", "group:match"]
)
def test_a_score_is_a_column_to_filter_sort_and_count(scored: Store, line: str) -> None:
    with closing(Rows(scored)) as rows:
        asked = rows.read(line)
        with ask(scored, equal_statement(asked)) as answer:
            there = [row for some in answer.rows for row in some]
        found = rows.find(asked)
        if asked.group:
            assert [(row["value"], row["n"]) for row in found.groups] == there
        else:
            assert [row["clip_id"] for row in found.rows] == [row[0] for row in there] != []
            assert sum(n for _, n, _ in found.facets["match"]) == sum(bool(row["scores"]) for row in found.rows)


def test_every_count_is_that_of_the_word_behind_it(scored: Store) -> None:
    with closing(Rows(scored)) as rows:
        for of in ("", "of:videos "):
            asked = rows.read(of)
            for name, counts in rows.find(asked).facets.items():
                for value, n, _ in counts:
                    if value:
                        assert rows.find(asked.with_term(name, value)).n == n, f"{of}{name}:{value}"


def test_a_damaged_table_of_scores_is_named_and_the_rest_is_shown(scored: Store) -> None:
    damaged = next(Path(scored.root).glob("embeddings/*/*.parquet"))
    damaged.write_bytes(b"no table")
    with closing(Rows(scored)) as rows:
        assert any(damaged.name in problem for problem in rows.problems)
        assert rows.find(rows.read("status:kept")).n == 8


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (-12.5, -0.01), (3, 90), (0, 1e6), (2.0, 2.0)])
def test_edges_are_few_round_numbers_within(low: float, high: float) -> None:
    edges = _edges_within(low, high)
    assert edges == sorted(set(edges)) and all(low < edge < high for edge in edges) and len(edges) <= 7
    assert (len(edges) >= 2) == (high > low)
