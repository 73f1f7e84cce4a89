"""The ledger of the crawl: what is known of whom."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.requests import count_requests
from hdvila_testing.rows import a_clip_row, commit_rows
from manifests.hashing import UInt64
from manifests.membership import hash_ids
from manifests.schema import TABLES, table_of
from pipeline.crawl.ledger import CrawlLedger, KnownVideos, Retries
from pipeline.crawl.plan import RoundPlan
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import merge_all

CATEGORIES = (1, 10, 27)

ids = st.lists(st.text("abcdefghijkXYZ019_-", min_size=11, max_size=11), max_size=40)


def hashes_of(texts: list[str]) -> UInt64:
    return hash_ids(pa.array(texts, pa.string()))


@given(st.lists(st.tuples(ids, st.sampled_from(CATEGORIES), st.booleans()), max_size=8))
def test_the_books_agree_with_plain_sets(batches: list[tuple[list[str], int, bool]]) -> None:
    known = KnownVideos()
    first_category: dict[str, int] = {}
    seen: set[str] = set()
    part_of: dict[str, int] = {}
    for number, (batch, category, mark) in enumerate(batches):
        hashes, categories = hashes_of(batch), np.full(len(batch), category)
        if mark:
            known.mark(hashes, categories, np.full(len(batch), number))
            part_of |= {i: number for i in batch if i not in part_of}
        else:
            known.add(hashes, categories)
        for video_id in batch:
            first_category.setdefault(video_id, category)
        seen |= set(batch) if mark else set()
    assert len(known) == len(first_category)
    everything = sorted(first_category)
    for category in CATEGORIES:
        expected = [first_category[i] == category and i not in seen for i in everything]
        assert known.unseen(hashes_of(everything), category).tolist() == expected
    for i in everything:
        assert known.parts_of(hashes_of([i])) == ([part_of[i]] if i in part_of else [])
    left = [first_category[i] for i in everything if i not in seen]
    assert known.backlog() == {c: left.count(c) for c in set(left)}


tries = st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(1, 4))


@given(st.lists(st.lists(tries, max_size=4), max_size=6))
def test_what_waits_was_deferred_as_often_as_it_was_tried(batches: list[list[tuple[str, bool, int]]]) -> None:
    retries = Retries()
    attempts: dict[str, int] = {}
    deferred: dict[str, list[int]] = {}
    for batch in batches:
        for is_refusal in (False, True):
            some = [(name, n) for name, refused, n in batch if refused == is_refusal]
            videos, numbers = hashes_of([name for name, _ in some]), np.array([n for _, n in some], np.int64)
            (retries.add_deferred if is_refusal else retries.add_attempts)(videos, numbers)
            for name, n in some:
                if is_refusal:
                    deferred.setdefault(name, []).append(n)
                else:
                    attempts[name] = max(n, attempts.get(name, 1))
    expected = {name: max(times) for name, times in deferred.items() if len(times) >= attempts.get(name, 1)}
    found = dict(zip(*(column.tolist() for column in retries.waiting()), strict=True))
    assert found == {int(hashes_of([name])[0]): at for name, at in expected.items()}
    assert retries.attempts(hashes_of(list("abcd"))).tolist() == [attempts.get(name, 1) for name in "abcd"]


def rows_of(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    blank = {"string": "", "bool": False, "double": 0.0}
    kinds = {field.name: blank.get(str(field.type), 0) for field in TABLES[table]}
    return table_of([kinds | row for row in rows], TABLES[table])


def listed(store: Store, unit: str, video_ids: list[str], category: int) -> None:
    rows = [{"video_id": i, "wanted_category_id": category, "position": n} for n, i in enumerate(video_ids)]
    commit_rows(store, "list", unit, {"listings": rows_of("listings", rows)})


def asked(store: Store, unit: str, video_ids: list[str], category: int) -> None:
    rows = [{"video_id": i, "wanted_category_id": category, "attempt": 1} for i in video_ids]
    commit_rows(store, "choose", unit, {"candidates": rows_of("candidates", rows)})


def test_listings_are_chosen_from_in_their_order_however_they_were_merged_and_those_without_anything_new_not_opened(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path / "out"))
    every = [f"video-{i:05}" for i in range(40)]
    for first in (0, 1):  # two segments whose units alternate by name, and one unit in none
        for i in range(first, 10, 2):
            listed(store, f"u{i:02}", every[3 * i : 3 * i + 4], 27 if i else 10)
        asked(store, f"a{first}", every[15 * first : 15 * first + 12], 27)
        merge_all(store, MergeSizes(n_units=1, fan_in=99, grace_s=0))
    listed(store, "u10", every[30:40], 27)

    books = CrawlLedger(store)
    with count_requests(0.02) as counted:
        books.update()
    plan = RoundPlan(1, (), {27: 99}, (), ())
    with count_requests() as of_choice:
        chosen = [row["video_id"] for row in books.choose(plan)]

    left = [i for i in every if i not in {*every[:12], *every[15:27]}]
    assert chosen == left and books.known.backlog() == {27: len(left)}
    assert [row["video_id"] for row in books.choose(replace(plan, n_candidates={27: 2}))] == left[:2]
    assert len(books._open_parts[27]) == 5 and of_choice.n <= 2 * 5, "of eleven units five hold what was not looked at"
    assert counted.n_sequential < counted.n


def test_supply_is_the_same_in_whatever_order_clips_came(tmp_path: Path) -> None:
    spans = [(27, 0, 4_003), (10, 100, 9_001), (27, 0, 7_013), (27, 5, 11_117)]
    sums = []
    for order in (spans, spans[::-1]):
        store = Store(str(tmp_path / str(len(sums))))
        for n, (category, start_ms, end_ms) in enumerate(order):
            row = a_clip_row(f"v{n}", 0, start_ms, end_ms, category_id=category)
            commit_rows(store, "clips", f"u{n}", {"clips": [row]})
        books = CrawlLedger(store, "hours")
        books.update()
        sums.append(books.supply)
        assert CrawlLedger(store).supply == {} and books.unit == "hours"
        books.unit = "videos"
        assert books.supply == {10: 1, 27: 3}, "of four videos with a clip each"
    assert sums[0] == sums[1] == {10: 8_901 / 3_600_000, 27: (4_003 + 7_013 + 11_112) / 3_600_000}
