"""Files of ids: few stay, however many segments come."""

from pathlib import Path

from pipeline.engine.merge import MergeSizes
from pipeline.engine.merge_ids import MOST_APART
from pipeline.engine.segments import read_head
from pipeline.engine.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, merge_all


def test_few_files_of_ids_stay_however_many_segments_come(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    most = 0
    for begin in range(0, 4 * 3 * MOST_APART, 4):
        fill(store, [f"u{i}" for i in range(begin, begin + 4)], a_group=4)
        merge_all(store, MergeSizes(4, 64, grace_s=0))
        merge_ids(store)
        head = read_head(store)[0]
        most = max(most, len(head.ids) + sum(not segment.ids_in for segment in head.segments))
    assert most <= MOST_APART + 2
    assert {segment.ids_in for segment in read_head(store)[0].segments} <= {one.id for one in read_head(store)[0].ids}
