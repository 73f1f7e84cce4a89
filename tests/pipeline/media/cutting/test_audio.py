"""Audio of clips: in its place to 20 ms, for players and for those that read it as an array."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.media.cutting import CutClip, Span
from pipeline.media.probe import probe
from pipeline.testing.readers import timed_hashes
from pipeline.testing.video import tick_times
from tests.pipeline.media.cutting.films import FILMS, LIMITS, SPANS, cut, film_at


@pytest.mark.parametrize("mode", ["remux", "exact", "keyframe"])
@pytest.mark.parametrize("name", [n for n, (_, film) in FILMS.items() if film.audio and n != "10 bits"])
def test_sound_stays_within_20_ms_of_the_pictures(films: Path, name: str, mode: str) -> None:
    """Ticks sound at whole seconds of source time; the mp4's file time is source time less a constant."""
    path, film = film_at(films, name)
    source = probe(path, LIMITS)
    pictures_start_s = next(iter(timed_hashes(path, source.video.index)))[0] - source.zero_s
    for clip in cut(path, SPANS, mode=mode, exact_preset="ultrafast").values():
        assert isinstance(clip, CutClip)
        overlap_s = min(film.audio_end_s, clip.end_ms / 1000) - max(film.audio_start_s, clip.start_ms / 1000)
        assert clip.has_audio or overlap_s < 0.1
        if not clip.has_audio:
            continue
        heard = [t + (clip.start_ms - clip.offset_ms) / 1000 for t in tick_times(io.BytesIO(clip.mp4))]
        inside = [t for t in heard if clip.start_ms / 1000 + 0.03 < t < clip.end_ms / 1000 - 0.03]
        expected = [
            tick
            for second in range(10)
            if (tick := second + float(pictures_start_s)) * 1000 > clip.start_ms + 30
            and tick * 1000 < clip.end_ms - 60
            and film.audio_start_s + 0.05 < second < film.audio_end_s - 0.05
        ]
        assert len(inside) >= len(expected)
        for tick in expected:
            assert min(abs(t - tick) for t in inside) < 0.020


@pytest.mark.parametrize("mode", ["remux", "exact"])
@pytest.mark.parametrize("name", [n for n, (_, film) in FILMS.items() if film.audio and n != "10 bits"])
def test_sound_read_as_a_plain_array_is_in_its_place_once_audio_start_ms_is_added(
    films: Path, name: str, mode: str
) -> None:
    path, film = film_at(films, name)
    source = probe(path, LIMITS)
    pictures_start_s = float(next(iter(timed_hashes(path, source.video.index)))[0] - source.zero_s)
    n_ticks = 0
    for clip in cut(path, SPANS, mode=mode, exact_preset="ultrafast").values():
        assert isinstance(clip, CutClip)
        shift_s = (clip.start_ms - clip.offset_ms) / 1000
        for tick_s in plain_ticks(clip.mp4) if clip.has_audio else ():
            at = tick_s + clip.audio_start_ms / 1000 + shift_s - pictures_start_s
            if film.audio_start_s + 0.05 < at < film.audio_end_s - 0.05:
                n_ticks += 1
                assert at - round(at) == pytest.approx(0, abs=0.005), (clip.n, at)
    assert n_ticks >= 2


def plain_ticks(mp4: bytes) -> list[float]:
    """Seconds at which ticks begin in the samples as they come, whatever time stamps say."""

    with av.open(io.BytesIO(mp4)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].codec_context.sample_rate
        n_channels = container.streams.audio[0].codec_context.channels
    planar = [b if b.shape[0] == n_channels else b.reshape(-1, n_channels).T for b in blocks]
    samples = np.concatenate(planar, axis=1).astype(np.float32)
    level = np.abs(samples).max(axis=0) / (32768 if blocks[0].dtype.kind == "i" else 1)
    loud = np.flatnonzero(level > 0.25)
    return [at / rate for i, at in enumerate(loud) if i == 0 or at - loud[i - 1] > rate // 2]


@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_a_clip_without_audio_says_that_its_audio_begins_at_0(films: Path, mode: str) -> None:
    path, _ = film_at(films, "no sound")

    clips = cut(path, [Span(0, 3000, 5200)], mode=mode)

    assert isinstance(clips[0], CutClip) and clips[0].audio_start_ms == 0
