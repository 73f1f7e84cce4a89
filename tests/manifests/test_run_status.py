"""What a run says of itself while it goes on: batches side by side are one stage."""

from manifests.run_status import StageStatus


def test_batches_side_by_side_are_one_line_with_what_all_of_them_made() -> None:
    first = StageStatus(stage="media", done_before=10, done=8, known=8, total=18, rows={"packs": 90})
    second = StageStatus(stage="media", done_before=10, done=2, known=8, total=18, in_flight=2, rows={"packs": 20})
    both = first.with_others([second])
    assert (both.done_before, both.done, both.total, both.in_flight, both.rows) == (10, 10, 26, 2, {"packs": 110})
