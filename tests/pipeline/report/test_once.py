"""Of the rows of a clip the last part's counts, wherever parts lie: files of their own or segments."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdvila_testing.rows import a_video_row, commit_rows
from pipeline.engine.store import segment_files, store
from pipeline.engine.store.store import Store
from pipeline.report.once import take_once
from pipeline.report.places import Ints
from tests.pipeline.engine.merges import merge_all

IDS = ["a", "b", "c", "d"]
UNITS = st.lists(st.lists(st.sampled_from([*IDS, "unasked"]), max_size=5), min_size=1, max_size=6)


class Titles:
    """Collects what rows say, and counts calls for each place."""

    def __init__(self) -> None:
        self.of: dict[int, list[str]] = {}

    def take(self, rows: pa.Table, places: Ints) -> None:
        for place, title in zip(places.tolist(), rows.column("title").to_pylist(), strict=True):
            self.of.setdefault(place, []).append(title)


def place_of(rows: pa.Table) -> Ints:
    return np.array([IDS.index(i) if i in IDS else -1 for i in rows.column("video_id").to_pylist()], np.int64)


@given(UNITS, st.permutations(range(6)), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_of_the_rows_of_a_place_the_last_counts(
    tmp_path_factory: pytest.TempPathFactory, units: list[list[str]], order: list[int], n_merged: int
) -> None:
    out = Store(str(tmp_path_factory.mktemp("out")))
    said: dict[str, list[str]] = {}
    for number, ids in enumerate(units):
        for k, video_id in enumerate(ids):
            said.setdefault(video_id, []).append(f"{number} {k}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_files, "GROUP_ROWS", 2)
        patch.setattr(store, "PIECE_BYTES", 1)
        for step, number in enumerate(n for n in order if n < len(units)):
            rows = [a_video_row(video_id, title=f"{number} {k}") for k, video_id in enumerate(units[number])]
            commit_rows(out, "extract", f"u{number}", {"videos": rows})
            if step == n_merged:
                merge_all(out)
        taker, seen = take_once(out, "videos", ["video_id", "title"], place_of, len(IDS), Titles)

    assert taker.of == {IDS.index(i): [titles[-1]] for i, titles in said.items() if i in IDS}
    assert seen.tolist() == [i in said for i in IDS]
