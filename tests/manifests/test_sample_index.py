"""The members of a shard's rows as columns: all texts at once, or one by one where one is not as we write it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.sample import ALL_MEMBERS
from manifests.sample_index import ABSENT, columns_of_rows


def rows_of(texts: list[str]) -> pa.Table:
    n = len(texts)
    keys = [f"video_{i:05d}" for i in range(n)]
    return pa.table({"key": keys, "status": ["success"] * n, "category_id": pa.array([1] * n), "members": texts})


LOADS = json.loads
NUMBERS = st.integers(0, 2**62)
MEMBERS = st.dictionaries(st.sampled_from([*ALL_MEMBERS, "other"]), st.tuples(NUMBERS, NUMBERS), max_size=6)


@settings(deadline=None)
@given(st.lists(MEMBERS, min_size=1, max_size=5))
def test_what_we_write_is_read_at_once(members: list[dict[str, tuple[int, int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        read: list[str] = []
        patch.setattr(json, "loads", lambda text: read.append(text) or LOADS(text))
        found = columns_of_rows(rows_of([json.dumps(one) for one in members]))

    assert len(read) == 1, "only for the names of its members: none of these has to be read one by one"
    for extension in ALL_MEMBERS:
        wanted = [one.get(extension, (ABSENT, ABSENT)) for one in members]
        pairs = zip(found.offsets[extension].tolist(), found.sizes[extension].tolist(), strict=True)
        assert list(pairs) == wanted


ODD = [
    '{"mp4": [1, 2]}\n{"mp4": [3, 4]}',
    '{"mp4": [1, 2]} {"mp4": [3, 4]}',
    '{"mp4": null}',
    '{"mp4": [null, 2]}',
    '{"mp4": [1, 2, 3]}',
    '{"mp4": [1.5, 2]}',
    '{"mp4": ["1", 2]}',
    '{"mp4": [1, 2], "mp4": [3, 4]}',
    '{"other": {"mp4": [1, 2]}}',
    '{"mp4": [1, 18446744073709551616]}',
    "[1, 2]",
    "no json",
    "",
    "{}",
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*ODD, '{"mp4": [5, 6]}']), min_size=1, max_size=3))
def test_odd_texts_come_to_the_same_as_one_by_one(texts: list[str]) -> None:
    try:
        found = columns_of_rows(rows_of(texts))
    except (ValueError, TypeError, AttributeError, OverflowError):
        return
    for extension in ALL_MEMBERS:
        wanted = [tuple(map(int, json.loads(text).get(extension, (ABSENT, ABSENT)))) for text in texts]
        pairs = zip(found.offsets[extension].tolist(), found.sizes[extension].tolist(), strict=True)
        assert list(pairs) == wanted


@pytest.mark.parametrize("text", ['{"mp4": null}', '{"mp4": [1, 2, 3]}', "no json", "[1, 2]"])
def test_members_that_none_of_ours_has_are_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        columns_of_rows(rows_of(['{"mp4": [1, 2]}', text]))


def test_rows_without_a_sample_give_empty_columns() -> None:
    rows = rows_of(["{}"]).set_column(1, "status", [["failed_to_subsample"]])

    found = columns_of_rows(rows)

    assert len(found.keys) == 0 and all(len(column) == 0 for column in found.offsets.values())
