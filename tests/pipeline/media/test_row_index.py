"""Where a video's rows lie, also after a later wave."""

from pathlib import Path

from manifests.schema import CLIPS, VIDEOS, table_of
from pipeline.config.media import MediaConfig
from pipeline.engine.store import Store
from pipeline.media.row_index import RowIndex
from pipeline.media.stage import MediaStage, rows_of_job
from pipeline.testing.rows import a_clip_row, a_video_row
from tests.pipeline.media.stage_runs import no_fetch


def test_a_later_wave_of_the_same_run_sees_what_was_committed_since(tmp_path: Path) -> None:
    store, places = Store(str(tmp_path / "out")), RowIndex()
    for number, video_id in enumerate(("a", "b")):
        store.write_table(f"videos/part-crawl-{video_id}.parquet", table_of([a_video_row(video_id)], VIDEOS))
        store.commit("crawl", video_id, {})
        store.write_table(f"clips/part-clips-{video_id}.parquet", table_of([a_clip_row(video_id, 0, 0, 900)], CLIPS))
        store.commit("clips", video_id, {})
        units = list(MediaStage(MediaConfig(), ["a", "b"], no_fetch, index=places).units(store))
        assert [unit.name for unit in units] == ["a", "b"][: number + 1]
    assert rows_of_job(units[1].payload, store)[0]["video_id"] == "b"
