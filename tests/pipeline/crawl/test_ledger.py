"""The ledger of the crawl: what is known of whom."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from manifests.hashing import UInt64
from manifests.membership import hash_ids
from pipeline.crawl.ledger import KnownVideos

CATEGORIES = (1, 10, 27)

ids = st.lists(st.text("abcdefghijkXYZ019_-", min_size=11, max_size=11), max_size=40)


def hashes_of(texts: list[str]) -> UInt64:
    return hash_ids(pa.array(texts, pa.string()))


@given(st.lists(st.tuples(ids, st.sampled_from(CATEGORIES), st.booleans()), max_size=8))
def test_the_books_agree_with_plain_sets(batches: list[tuple[list[str], int, bool]]) -> None:
    known = KnownVideos()
    first_category: dict[str, int] = {}
    seen: set[str] = set()
    for batch, category, mark in batches:
        hashes, categories = hashes_of(batch), np.full(len(batch), category)
        (known.mark if mark else known.add)(hashes, categories)
        for video_id in batch:
            first_category.setdefault(video_id, category)
        seen |= set(batch) if mark else set()
    assert len(known) == len(first_category)
    everything = sorted(first_category)
    for category in CATEGORIES:
        expected = [first_category[i] == category and i not in seen for i in everything]
        assert known.unseen(hashes_of(everything), category).tolist() == expected
    left = [first_category[i] for i in everything if i not in seen]
    assert known.backlog() == {c: left.count(c) for c in set(left)}
