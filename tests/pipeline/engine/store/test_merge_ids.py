"""Files of ids: few stay, however many segments come."""

from pathlib import Path

import pytest

from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.merge_ids import MOST_APART, IdsJob, install_ids, plan_ids
from pipeline.engine.store.segments import IDS, Head, IdsFile, change_head, read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, merge_all
from tests.pipeline.engine.store.test_segments import a_segment


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


def a_head(*apart: int, files: tuple[int, ...] = ()) -> Head:
    """Segments with so many ids of their own, and files of many with so many."""
    segments = tuple(a_segment(f"s{i}", n_ids=n) for i, n in enumerate(apart))
    return Head(segments=segments, ids=tuple(IdsFile(id=f"f{i}", n_ids=n) for i, n in enumerate(files)))


@pytest.mark.parametrize(
    ("head", "replaced"),
    [
        (a_head(1, 1, 1), None),
        (a_head(1, 1, 1, 0, -1), None),
        (a_head(1, 1, 1, 1), set()),
        (a_head(1, 1, 1, 1, files=(16,)), set()),
        (a_head(1, 1, 1, 1, files=(15,)), {"f0"}),
        (a_head(1, 1, 1, 1, files=(75, 15)), {"f0", "f1"}),
        (a_head(1, 1, 1, 1, files=(76, 15)), {"f1"}),
    ],
)
def test_ids_are_merged_once_four_segments_have_their_own_and_files_of_like_size_with_them(
    head: Head, replaced: set[str] | None
) -> None:
    job = plan_ids(head)

    assert (job.replaced if job else None) == replaced
    if job:
        assert job.segments == {"s0", "s1", "s2", "s3"} and len(job.sources) == 4 + len(job.replaced)
        assert dict(job.sources)[head.segments[0].ids_path] == 1


def test_segments_with_ids_elsewhere_are_not_apart() -> None:
    head = a_head(1, 1, 1, 1)
    first = head.segments[0].model_copy(update={"ids_in": "f"})

    assert plan_ids(head.model_copy(update={"segments": (first, *head.segments[1:])})) is None


def test_a_file_takes_the_place_of_those_it_was_made_of_only_while_they_are_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    head = a_head(1, 1, 1, 1, 1, files=(3, 9))
    of_old = head.segments[4].model_copy(update={"ids_in": "f0"})
    start = change_head(store, lambda _: head.model_copy(update={"segments": (*head.segments[:4], of_old)}))
    made = IdsFile(id="new", n_ids=7)
    gone = IdsJob((), frozenset({"s0"}), frozenset({"f0", "of yesterday"}))
    assert not install_ids(store, gone, made) and read_head(store)[0] == start

    assert install_ids(store, IdsJob((), frozenset({"s0", "s1"}), frozenset({"f0"})), made)
    after = read_head(store)[0]
    assert [segment.ids_in for segment in after.segments] == ["new", "new", "", "", "new"]
    assert [file.id for file in after.ids] == ["f1", "new"]
    assert [(retired.id, retired.stage) for retired in after.retired] == [("f0", IDS)]
