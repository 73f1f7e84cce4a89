"""A data set of drawn clips that shows what each view of a clip can learn (`bench.learning.attributes`).

Train has each caption `per_caption` times, drawn differently each time; val has each once. So a view's best possible
score is known: if it doesn't show an attribute of n values, the right clip is one of n that look the same to it. Films
go through the pipeline's own stages (media, shards, manifest), so their samples are like any others. A second call
continues from what is there.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2

from bench.learning.attributes import (
    COLOURS,
    HEIGHT,
    N_FRAMES,
    WIDTH,
    Scene,
    all_scenes,
    frames_of,
)
from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows, with_transcript
from manifests.funnel import SELECTION_NAME
from manifests.lock import RunLock
from manifests.rows import VideoRow
from manifests.schema import SELECTION, table_of
from manifests.shards import Manifest
from pipeline.config.media import ChecksConfig, DuplicatesConfig, MediaConfig, MembersConfig, ScenesConfig
from pipeline.config.shards import CardConfig, ShardsConfig, SplitConfig
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Context, name_over
from pipeline.media.stage import MediaStage
from pipeline.shards.manifest import remove_packs, write_manifest
from pipeline.shards.stage import ShardsStage

FPS = 5
CLIPS_A_FILM = 8
CATEGORY_ID = 1

MEDIA = MediaConfig(
    members=MembersConfig(still_quality=80),
    scenes=ScenesConfig(detector="off"),
    checks=ChecksConfig(silence="ignore"),
    duplicates=DuplicatesConfig(action="off"),
)
SHARDS = ShardsConfig(
    max_samples=128,
    # So small that no channel is drawn for val: the shards' plan then gives it one, the smaller of the two.
    split=SplitConfig(val=1e-9),
    card=CardConfig(title="Drawn clips with three attributes", license="cc0-1.0"),
)


@dataclass(frozen=True, slots=True)
class Film:
    """Scenes that are shown one after another in one video."""

    video_id: str
    channel_id: str
    scenes: tuple[Scene, ...]
    fps: int = FPS
    height: int = HEIGHT

    @property
    def scene_ms(self) -> int:
        """How long each scene is shown."""
        return 1000 * N_FRAMES // self.fps

    @property
    def sentences(self) -> tuple[tuple[int, int, str], ...]:
        """(start and end, ms; text) of each clip: a scene's caption is spoken while it is shown."""
        ms = self.scene_ms
        return tuple((n * ms, (n + 1) * ms, scene.caption) for n, scene in enumerate(self.scenes))


def make_attribute_set(
    out: Path,
    *,
    per_caption: int = 8,
    n_colours: int = len(COLOURS),
    seed: int = 0,
) -> Manifest:
    """Draws, cuts and shards the whole set under `out`; returns its manifest. The same arguments give the same shards.

    Raises ValueError for `per_caption` below 2: val is recognised as the smaller channel.
    """
    if per_caption < 2:
        raise ValueError(f"per_caption {per_caption} must be at least 2: train has to be larger than val")
    facts = {"per_caption": per_caption, "n_colours": n_colours, "seed": seed}
    return make_films(out, films_of(per_caption, n_colours, seed), facts)


def make_films(out: Path, films: Sequence[Film], facts: Mapping[str, Any], media: MediaConfig = MEDIA) -> Manifest:
    """Draws, cuts and shards these films; the smaller channel is val."""
    by_id = {film.video_id: film for film in films}
    store = Store(str(out))
    for film in films:
        _commit_plan(store, film)

    def fetch(video: Mapping[str, Any], context: Context) -> Path:
        return draw_film(by_id[video["video_id"]], context.scratch / "film.mp4")

    with tempfile.TemporaryDirectory() as scratch, RunLock(store) as lock:
        executor = LocalExecutor(Path(scratch))
        run_stage(MediaStage(media, list(by_id), fetch), store, executor, lock)
        _select_all(store, films)
        run_stage(ShardsStage(SHARDS, int(facts["seed"])), store, executor, lock)
        manifest = write_manifest(store, name="attributes", config=facts, card=SHARDS.card)
        remove_packs(store, manifest)
    return manifest


def films_of(per_caption: int, n_colours: int, seed: int) -> list[Film]:
    """Train's films and val's, each on a channel of its own."""
    captions = all_scenes(n_colours)
    return [*films("train", captions, per_caption, seed), *films("val", captions, 1, seed)]


def _number(seed: int, split: str, n: int) -> int:
    return random.Random(f"{seed}/{split}/{n}").randrange(2**31)


def films(split: str, captions: Sequence[Scene], per_caption: int, seed: int) -> list[Film]:
    """Films of a split that show each of these scenes so often, drawn differently each time."""
    scenes = [replace(scene, seed=_number(seed, split, n)) for n in range(per_caption) for scene in captions]
    shuffled = random.Random(f"{seed}/{split}").sample(scenes, len(scenes))
    parts = [tuple(shuffled[at : at + CLIPS_A_FILM]) for at in range(0, len(shuffled), CLIPS_A_FILM)]
    return [Film(f"{split}-{n:05d}", f"channel-{split}", part) for n, part in enumerate(parts)]


def draw_film(film: Film, path: Path) -> Path:
    """Encodes the film as an H.264 mp4, 16:9, with a keyframe at each scene."""
    size = WIDTH * film.height // HEIGHT, film.height
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=film.fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        params = f"keyint={N_FRAMES}:min-keyint={N_FRAMES}:scenecut=0"
        stream.options = {"preset": "ultrafast", "crf": "23", "x264-params": params}
        for scene in film.scenes:
            for picture in frames_of(scene):
                small = picture if size == (WIDTH, HEIGHT) else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _commit_plan(store: Store, film: Film) -> None:
    """Commits what crawl and text would have left of the film: its row, its words, and a clip per scene."""
    commit_rows(store, "extract", film.video_id, {"videos": [_video_row(film)]})
    transcript, clips = with_transcript(
        [
            a_clip_row(film.video_id, n, start_ms, end_ms, text=text, category_id=CATEGORY_ID)
            for n, (start_ms, end_ms, text) in enumerate(film.sentences)
        ]
    )
    commit_rows(store, "transcripts", film.video_id, {"transcripts": [transcript]})
    commit_rows(store, "clips", name_over("transcripts", film.video_id), {"clips": clips})


def _video_row(film: Film) -> VideoRow:
    return a_video_row(
        film.video_id,
        url=f"https://example.org/{film.video_id}",
        category_id=CATEGORY_ID,
        title=f"Attributes {film.video_id}",
        channel_id=film.channel_id,
        channel=film.channel_id,
        duration_s=len(film.scenes) * film.scene_ms / 1000,
        upload_date="20240101",
        view_count=1,
        heights=[film.height],
    )


def _select_all(store: Store, films: Sequence[Film]) -> None:
    """Writes selection.parquet with every clip kept."""
    rows = [
        {
            "video_id": film.video_id,
            "category_id": CATEGORY_ID,
            "channel_id": film.channel_id,
            "group": film.video_id,
            "rank": rank,
            "kept": True,
            "reason": "",
            "n_clips": len(film.sentences),
            "clips_kept": list(range(len(film.sentences))),
            "hours_kept": len(film.scenes) * film.scene_ms / 3_600_000,
        }
        for rank, film in enumerate(films)
    ]
    store.write_table(SELECTION_NAME, table_of(rows, SELECTION))
