"""Batches of media: what a plan waits for, and what it does without."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from hdvila_testing.shards import commit_video
from pipeline.config import RunConfig
from pipeline.engine.store.store import Store
from pipeline.run.batches import Batch, Batches, Gathered
from pipeline.run.session import Run

N_VIDEOS, LONG_ID = 24, "v00"


def a_run(folder: Path) -> Run:
    """A crawl that is over: videos of a minute with two clips each, and one of an hour."""
    store = Store(str(folder))
    ids = [f"v{i:02d}" for i in range(N_VIDEOS)]
    videos = [a_video_row(i, duration_s=3600.0 if i == LONG_ID else 60.0) for i in ids]
    clips = [a_clip_row(i, n, 10_000 * n, 10_000 * n + 5_000) for i in ids for n in range(2)]
    for stage, table, rows in (("extract", "videos", videos), ("clips", "clips", clips)):
        commit_rows(store, stage, "u", {table: cast(Any, rows)})
    balance = {"unit": "clips", "total": 2 * N_VIDEOS, "batch_videos": 12, "batches_under_way": 1}
    off = {"reuploads": False, "repeated_sentences": False}
    config = RunConfig.model_validate(
        {"out": str(folder), "balance": {**balance, "text_duplicates": off}, "media": {"duplicates": {"action": "off"}}}
    )
    ours = SimpleNamespace(check=lambda: None, show_rejects=lambda counts: None)
    return Run(config, store, cast(Any, ours), cast(Any, ours))


def batches_of(run: Run) -> Batches:
    batches = Batches.of(run, Gathered(is_over=True))

    def decide() -> None:  # as if no shard were ever full
        batches.n_decided = batches.n_over

    batches.decide = decide
    return batches


def make(batches: Batches, run: Run, batch: Batch, *, but: str = "") -> None:
    """Makes the media of a batch, but for a video."""
    for group in batches.left_of(batch):
        ids = [video_id for video_id in batches.ids_of(group) if video_id != but]
        for video_id in ids:
            commit_video(run.store, video_id, n_clips=2)
        if len(ids) == len(batches.ids_of(group)):
            batches.end(group)


def begun(run: Run, *, but: str) -> tuple[Batches, Batch]:
    """A run whose first batch is made, but for a video; the long one is in it."""
    batches = batches_of(run)
    first = batches.next_one()
    assert first is not None and LONG_ID in first.video_ids.to_pylist()
    make(batches, run, first, but=but)
    return batches, first


def test_the_next_batch_does_not_wait_for_a_video_much_longer_than_the_others(tmp_path: Path) -> None:
    batches, first = begun(a_run(tmp_path / "long"), but=LONG_ID)
    planned = batches.next_one()
    assert planned is not None and not set(planned.video_ids.to_pylist()) & set(first.video_ids.to_pylist())

    other = next(video_id for video_id in first.video_ids.to_pylist() if video_id != LONG_ID)
    assert begun(a_run(tmp_path / "other"), but=other)[0].next_one() is None


def test_what_is_planned_is_the_same_whether_or_not_the_long_video_is_over(tmp_path: Path) -> None:
    plans = []
    for name, but in (("lasts", LONG_ID), ("over", "")):
        planned = begun(a_run(tmp_path / name), but=but)[0].next_one()
        plans.append(planned and (planned.video_ids.to_pylist(), planned.n_known))
    assert plans[0] == plans[1]


def test_a_run_that_begins_again_takes_up_what_is_left_of_each_batch(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    begun(run, but=LONG_ID)

    again = batches_of(Run(run.config, Store(run.store.url), run.lock, run.driver))
    taken_up = again.next_one()
    assert taken_up is not None
    assert [video_id for group in again.left_of(taken_up) for video_id in again.ids_of(group)] == [LONG_ID]
