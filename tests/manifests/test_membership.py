"""Looking ids up by hash gives what looking them up in full gives, also where hashes agree by chance."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manifests import membership
from manifests.hashing import hash_texts
from manifests.membership import NOWHERE, Ids, hash_ids


def test_the_rows_are_those_of_a_search_in_full() -> None:
    draw = np.random.default_rng(1)
    names = [f"video-{n}" for n in draw.integers(0, 3000, 2000)]
    asked = pa.chunked_array([[f"video-{n}" for n in draw.integers(0, 6000, 700)], [], names[:5]], pa.string())
    expected = pc.fill_null(pc.index_in(asked, value_set=pa.array(names)), NOWHERE).to_pylist()
    ids = Ids.of(pa.array(names))
    assert ids.rows(asked).tolist() == expected
    assert ids.holds(asked).tolist() == [row != NOWHERE for row in expected]


def test_ids_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "hash_texts", lambda texts, seed: np.full(len(texts), 7, np.uint64))
    ids = Ids.of(pa.array(["a", "b", "c", "b"]))
    assert ids.rows(pa.array(["c", "x", "a", "b"])).tolist() == [2, NOWHERE, 0, 1]


@pytest.mark.parametrize(("ids", "asked"), [([], ["a"]), (["a"], []), ([], [])])
def test_nothing_is_found_where_there_is_nothing(ids: list[str], asked: list[str]) -> None:
    assert Ids.of(pa.array(ids, pa.string())).rows(pa.array(asked, pa.string())).tolist() == [NOWHERE] * len(asked)


def test_hashes_of_different_ids_differ() -> None:
    names = pa.array([f"{n:011d}" for n in range(20_000)])
    assert len(np.unique(hash_ids(names))) == len(names)


@pytest.mark.parametrize("times", [1, 2, 7])
def test_an_id_has_its_hash_however_often_it_comes_one_after_the_other(times: int) -> None:
    names = [f"video {i % 5}" for i in range(20)]
    every = pa.array([name for name in names for _ in range(times)], pa.string())
    once = hash_texts(pa.array(names, pa.string()), 0)
    assert hash_ids(every).tolist() == np.repeat(once, times).tolist()
    assert hash_ids(pa.chunked_array([every.slice(0, 9), every.slice(9)])).tolist() == hash_ids(every).tolist()
    assert hash_ids(every.slice(3)).tolist() == hash_ids(every)[3:].tolist()
