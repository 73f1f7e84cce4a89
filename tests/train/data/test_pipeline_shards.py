"""Shards that the pipeline made, read by the loader: every frame is the one that was asked for.

Each picture of the film shows its own number, so that what comes out says where it came from. The clips start between
two frames, as sentences do.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from hdvila_testing.drawn_set import Scene, encode_mp4, read_number
from hdvila_testing.rows import a_clip_row, a_video_row, commit_rows
from hdvila_testing.shards import make_shards, select
from manifests.lock import RunLock
from manifests.shards import read_manifest
from pipeline.config.media import MediaConfig
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.media.stage import MediaStage
from train.data.decode import ClipView, choose_centres, decode_sample, frames_around, nearest_stills
from train.data.index import Index, load_index
from train.data.loader import ClipDataset, Ticket
from train.data.read import Reader

FPS = 12
SPANS_MS = [(50, 4_000), (4_065, 8_070), (7_010, 11_900)]
"""12 frames/s come every 83.3 ms: the first frames are up to most of a frame later than the clips."""
FIRST = [-(-start * FPS // 1000) for start, _ in SPANS_MS]
"""The source's frame that each clip begins with."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    root = tmp_path_factory.mktemp("set")
    film = root / "film.mp4"
    film.write_bytes(encode_mp4([Scene().draw(n, 640, 360) for n in range(150)], FPS, gop=24, crf=20))
    store = Store(str(root / "out"))
    rows = [a_clip_row("v1", n, start, end) for n, (start, end) in enumerate(SPANS_MS)]
    commit_rows(store, "extract", "v1", {"videos": [a_video_row("v1", media_path=str(film))]})
    commit_rows(store, "clips", "v1", {"clips": rows})
    config = MediaConfig.model_validate({"cut": {"min_short_side": 0}})
    with RunLock(store) as lock:
        run_stage(MediaStage(config, ["v1"], lambda v, c: film), store, LocalExecutor(root / "scratch"), lock)
    select(store)
    make_shards(store)
    return load_index(read_manifest(str(root / "out")), "train")


def number_of(pixels: np.ndarray) -> int:
    """The number in a centre-cropped view `[3, h, w]`."""
    return read_number(pixels.transpose(1, 2, 0), box=(32 / 320, 10 / 180, 288 / 320, 170 / 180))


def clip_number(index: Index, sample: int) -> int:
    return int(index.key(sample).rpartition("_")[2])


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize("segments", [1, 2])
def test_whole_gives_the_frames_counted_from_the_clips_first_one(index, backend, segments):
    views = ClipView((160, 256), (40, 64), 7, segments, 3, backend)
    dataset = ClipDataset(index, views, "whole", seed=None)

    for sample in range(len(index)):
        n = clip_number(index, sample)
        n_frames = -(-SPANS_MS[n][1] * FPS // 1000) - FIRST[n]
        clip = dataset[Ticket(0, sample, sample)]
        centres, stride = choose_centres(n_frames, views, None)
        assert [number_of(p) - FIRST[n] for p in clip.img_middle[0].numpy()] == centres
        others = [[number_of(p) - FIRST[n] for p in s] for s in clip.img_other[0].numpy()]
        assert others == [frames_around(c, stride, n_frames, views) for c in centres]
    assert len(index) == len(SPANS_MS)


@pytest.mark.parametrize("segments", [1, 2])
def test_prepared_puts_a_still_among_the_frames_around_its_own(index, segments):
    views = ClipView((160, 256), (40, 64), 7, segments, 3)
    reader = Reader(index)

    for sample in range(len(index)):
        members = reader.read(sample, ("txt", "json", "m4v", "mjpg"))
        facts = json.loads(members["json"])
        stills = json.loads(facts["stills"])
        clip = decode_sample(members, "prepared", views, None)

        first, n_frames = FIRST[clip_number(index, sample)], facts["n_frames"]
        wanted, stride = choose_centres(n_frames, views, None)
        # A still is the first frame at or after the middle of each equal part of the clip.
        start = SPANS_MS[clip_number(index, sample)][0]
        frames = [-(-(start + still["time_ms"]) * FPS // 1000) - first for still in stills]
        shown = [frames[i] for i in nearest_stills(wanted, frames, 3 * stride, n_frames)]
        assert [still["frame"] for still in stills] == frames
        assert [number_of(p) - first for p in clip.img_middle] == shown
        others = [[number_of(p) - first for p in s] for s in clip.img_other]
        assert others == [frames_around(c, stride, n_frames, views) for c in shown]


def test_whole_and_prepared_show_the_same_frames_of_a_segment(index):
    """The prepared middle's own frame, asked of the 720p video by narrowing the clip to it."""
    views = ClipView((160, 256), (40, 64), 7, 1, 3)
    reader = Reader(index)
    for sample in range(len(index)):
        prepared = ClipDataset(index, views, "prepared", seed=None)[Ticket(0, sample, sample)]
        first = FIRST[clip_number(index, sample)]
        middle = number_of(prepared.img_middle[0, 0].numpy()) - first
        members = reader.read(sample, ("mp4", "txt", "json"))
        facts = json.loads(members["json"])
        facts |= {"first_frame": facts["first_frame"] + middle - 9, "n_frames": 19}
        for backend in ("pyav", "decord"):
            narrow = ClipView((160, 256), (40, 64), 7, 1, 3, backend)
            whole = decode_sample({**members, "json": json.dumps(facts).encode()}, "whole", narrow, None)
            assert np.abs(whole.img_middle.astype(int) - prepared.img_middle[0].numpy()).mean() < 6
            assert [number_of(p) for p in whole.img_other[0]] == [
                number_of(p) for p in prepared.img_other[0, 0].numpy()
            ]
