"""Drawn files: what their formats promise, drawn once, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from hdvila_testing.frame_code import read_frame_code
from manifests.errors import UserError
from miniyoutube.media_cache import MediaCache, Rendition
from miniyoutube.script import FPS, Script, words_of
from tests.miniyoutube.renditions import PLAIN

WITH_B_FRAMES = Script(3, 15, 14_000, "short")


def numbers_in(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [
            read_frame_code(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("script", "size"),
    [
        (WITH_B_FRAMES, (1280, 720)), (PLAIN, (854, 480)), (PLAIN, (640, 360)), (PLAIN, (720, 1280)),
        (WITH_B_FRAMES, (1280, 718)),
    ],
)  # fmt: skip
def test_every_frame_of_a_file_bears_its_number(demo_cache: MediaCache, script: Script, size: tuple[int, int]) -> None:
    path = demo_cache.path(Rendition(script, "video", *size))
    assert numbers_in(path) == list(range(script.n_frames))


def test_a_file_is_what_the_formats_promise(demo_cache: MediaCache) -> None:
    with av.open(str(demo_cache.path(Rendition(WITH_B_FRAMES, "video", 1280, 720)))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 720)
        assert stream.average_rate == FPS
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        times = [packet.pts or 0 for packet in packets]
        assert times != sorted(times), "there are B-frames"
        keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    assert keys == list(range(0, WITH_B_FRAMES.n_frames, 48))
    with av.open(str(demo_cache.path(Rendition(PLAIN, "audio")))) as container:
        n_samples = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(n_samples / 22_050 - 14) < 0.15


def test_sound_is_heard_where_words_are_spoken(demo_cache: MediaCache) -> None:
    with av.open(str(demo_cache.path(Rendition(PLAIN, "audio")))) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    words = words_of(PLAIN)

    def loudness(start_ms: int, end_ms: int) -> float:
        return float(np.abs(sound[start_ms * 22_050 // 1000 : end_ms * 22_050 // 1000]).mean())

    spoken = [loudness(word.start_ms, word.end_ms) for word in words]
    assert min(spoken) > 0.005
    assert max(spoken) < 0.2
    assert loudness(0, words[0].start_ms - 100) < 0.002


def test_the_cache_draws_once(tmp_path: Path) -> None:
    cache, rendition = MediaCache(tmp_path), Rendition(Script(6, 1, 2_000), "audio")
    assert not cache.is_drawn(rendition)
    assert cache.draw_all([rendition, rendition]) == 1
    assert cache.draw_all([rendition]) == 0
    assert MediaCache(tmp_path).is_drawn(rendition)
    assert [path.suffix for path in tmp_path.iterdir()] == [".m4a"]


def test_a_cache_that_cannot_be_written_is_said_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="HDVILA_DEMO_CACHE"):
        MediaCache(tmp_path / "file" / "cache").path(Rendition(PLAIN, "audio"))
