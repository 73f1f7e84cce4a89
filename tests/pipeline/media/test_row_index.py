"""Where a video's rows lie, also after a later batch."""

import pickle
from pathlib import Path

from hdvila_testing.requests import count_requests
from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows, with_transcript
from pipeline.config.media import MediaConfig
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import name_over
from pipeline.media.row_index import RowIndex, clip_rows, video_rows
from pipeline.media.stage import MediaStage, rows_of_job
from tests.pipeline.engine.merges import fill, merge_all
from tests.pipeline.media.stage_runs import no_fetch


def test_a_later_wave_of_the_same_run_sees_what_was_committed_since(tmp_path: Path) -> None:
    store, places = Store(str(tmp_path / "out")), RowIndex()
    for number, video_id in enumerate(("a", "b")):
        commit_rows(store, "crawl", video_id, {"videos": [a_video_row(video_id)]})
        commit_rows(store, "clips", video_id, {"clips": [a_clip_row(video_id, 0, 0, 900)]})
        units = list(MediaStage(MediaConfig(), ["a", "b"], no_fetch, index=places).units(store))
        assert [unit.name for unit in units] == ["a", "b"][: number + 1]
    assert rows_of_job(units[1].payload, store)[0]["video_id"] == "b"


def test_a_video_without_a_row_or_a_clip_has_no_place_and_one_on_a_disk_says_so(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    known = (("a", 60.5, "/films/a.mp4"), ("b", 7.0, ""))
    videos = [a_video_row(v, duration_s=seconds, media_path=path) for v, seconds, path in known]
    commit_rows(store, "crawl", "x", {"videos": [*videos, a_video_row("lone")]})
    for unit, ids in (("y", ("a", "b", "a")), ("z", ("b", "stray"))):
        rows = [a_clip_row(video_id, n, 0, 900) for n, video_id in enumerate(ids)]
        commit_rows(store, "clips", unit, {"clips": rows})

    a, lone, b, stray, unknown = RowIndex().find_rows(store, ["a", "lone", "b", "stray", "?"])

    assert lone is stray is unknown is None
    assert a is not None and b is not None
    assert (a.length_s, a.is_file, b.length_s, b.is_file) == (60.5, True, 7.0, False)
    assert [part.unit for part in a.clips] == ["y"] and [part.unit for part in b.clips] == ["y", "z"]
    assert [row["n"] for row in clip_rows(store, a.clips, "a")] == [0, 2]
    assert [row["video_id"] for row in clip_rows(store, b.clips, "b")] == ["b", "b"]
    assert [row["video_id"] for row in video_rows(store, [b.video], "b")] == ["b"]


def test_the_words_of_clips_are_those_that_they_name_in_the_transcript_of_their_own_unit(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    commit_rows(store, "crawl", "x", {"videos": [a_video_row("a"), a_video_row("b")]})
    for unit, n in (("y", 1), ("z", 4)):
        said = [with_transcript([a_clip_row(video_id, i, 0, 900) for i in range(n, n + 3)]) for video_id in ("a", "b")]
        silent = a_clip_row("a", n + 3, 5000, 6000)
        over = name_over("transcripts", unit)
        commit_rows(store, "transcripts", unit, {"transcripts": [transcript for transcript, _ in said]})
        commit_rows(store, "clips", over, {"clips": [*(clip for _, clips in said for clip in clips), silent]})

    for job in MediaStage(MediaConfig(), ["a", "b"], no_fetch).units(store):
        _, clips, words = rows_of_job(job.payload, store)
        told = {n: " ".join(word["text"] for word in said.own) for n, said in words.items()}
        assert told == {clip["n"]: clip["text"] for clip in clips if clip["n_words"]} and len(told) == 6


def test_units_in_many_segments_take_the_turns_of_few_requests(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    units = [f"u{i:03}" for i in range(60)]
    for i in range(12):
        fill(store, units[i::12], a_group=5)
        merge_all(store, MergeSizes(n_units=5, fan_in=99, grace_s=0))
    ids = [f"{unit}-{i}" for unit in units for i in range(2)]
    with count_requests(0.02) as counted:
        index = RowIndex()
        places = list(index.find_rows(Store(store.url), ids))

    assert [place and (place.video.unit, [part.unit for part in place.clips]) for place in places] == [
        (video_id[:4], [video_id[:4]]) for video_id in ids
    ]
    assert counted.n > 3 * 12 and counted.n_sequential < 24
    assert pickle.dumps(index) == pickle.dumps(RowIndex()), "a copy that travels to a worker is empty"
