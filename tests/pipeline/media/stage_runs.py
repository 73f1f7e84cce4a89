"""One video through the media stage."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows, with_transcript
from manifests.rows import VideoRow
from manifests.sample import SampleJson
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, name_over
from pipeline.media.packs import index_pack, read_members
from pipeline.media.stage import MediaStage

SMALL = {"width": 640, "height": 360}
ANY_SIZE: dict[str, Any] = {"cut": {"min_short_side": 0, "borders": "planned"}}
"""Of films whose audio ticks: what is tested of a clip begins and ends where it was planned."""
SPANS = [(0, 2500), (2500, 5200), (4000, 7950)]


def no_fetch(video: Any, context: Context) -> Path:
    raise AssertionError("a file of the folder source is not fetched")


def process(
    film: Path,
    scratch: Path,
    spans: list[tuple[int, int]] = SPANS,
    config: dict[str, Any] = ANY_SIZE,
    fetch: Callable[[Any, Context], Path] = no_fetch,
    media_path: str | None = None,
    attempt: int = 1,
) -> Output:
    scratch.mkdir(parents=True, exist_ok=True)
    stage = MediaStage(MediaConfig.model_validate(config), ["v1"], fetch)
    video = a_video_row("v1", media_path=str(film) if media_path is None else media_path)
    store = Store(str(scratch / "store"))
    commit_plan(store, video, spans)
    [unit] = stage.units(store)
    return stage.process(unit, Context(store, scratch, time.monotonic() + 600, attempt))


def commit_plan(store: Store, video: VideoRow, spans: list[tuple[int, int]] = SPANS) -> None:
    """Commits what crawl and text leave of a video: its row, its words, and a clip for each span."""
    video_id = video["video_id"]
    transcript, clips = with_transcript([a_clip_row(video_id, n, start, end) for n, (start, end) in enumerate(spans)])
    rows_of: dict[str, Any] = {"videos": [video], "transcripts": [transcript], "clips": clips}
    for table, rows in rows_of.items():
        unit = name_over("transcripts", video_id) if table == "clips" else video_id
        commit_rows(store, table, unit, {table: rows})


def pack_of(output: Output) -> Path:
    """The one pack of a unit."""
    (pack,) = output.files.values()
    return pack


def samples_of(output: Output) -> list[tuple[SampleJson, dict[str, bytes]]]:
    found = []
    with pack_of(output).open("rb") as file:
        for packed in list(index_pack(file)):
            members = read_members(file, packed)
            found.append((SampleJson.model_validate_json(members["json"]), members))
    return found
