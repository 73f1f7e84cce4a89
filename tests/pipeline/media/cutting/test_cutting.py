"""Cuts are held against the source's own pictures: the frame code burned in, read back by several decoders."""

import io
import subprocess
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hdvila_testing.readers import READERS, codes_by_pyav, frame_hashes, timed_hashes
from hdvila_testing.video import Film, a_video, tick_times
from pipeline.config.media import CutConfig
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit
from tests.pipeline.media.cutting.films import (
    FILMS,
    LIMITS,
    SMALL,
    SPANS,
    all_cut,
    cut,
    film_at,
    frame_times,
    wanted_codes,
)

EIGHT_BITS = [name for name in FILMS if name != "10 bits"]
WITH_SOUND = [name for name in EIGHT_BITS if FILMS[name][1].audio]
OF_EACH_CONTAINER = [  # where containers and codecs keep the time of audio differently
    "30 fps with B-frames", "transport stream that starts at 100 s", "flv", "sound that begins late and ends early",
    "VP9 and Opus", "MP3 sound", "PCM sound, which mp4 cannot carry",
]  # fmt: skip


FIVE = {
    "30 fps with B-frames", "variable frame rate", "transport stream that starts at 100 s", "VP9 and Opus",
    "HEVC with open GOPs",
}  # fmt: skip
"""The kinds of film that `make test` cuts; the others are cut by `make test-long`."""


def kinds(names: Iterable[str], *modes: str) -> list[Any]:
    return [
        pytest.param(name, *mode, marks=() if name in FIVE else pytest.mark.long)
        for mode in ([(mode,) for mode in modes] or [()])
        for name in names
    ]


@pytest.mark.parametrize(("name", "mode"), [*kinds(FILMS, "remux"), *kinds(EIGHT_BITS, "exact")])
def test_a_clip_holds_exactly_the_frames_of_its_span(films: Path, tmp_path: Path, name: str, mode: str) -> None:
    path, _ = film_at(films, name)
    for n, clip in all_cut(path, mode).items():
        assert isinstance(clip, CutClip), clip
        (file := tmp_path / f"{n}.mp4").write_bytes(clip.mp4)
        codes = codes_by_pyav(file, clip.first_frame)
        assert codes[: clip.n_frames] == wanted_codes(path, SPANS[n])
        assert mode == "remux" or (clip.first_frame, len(codes)) == (0, clip.n_frames), "a frame too many"


@pytest.mark.parametrize("reader", [name for name in READERS if name != "pyav"])
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_every_decoder_finds_the_same_frames(films: Path, tmp_path: Path, reader: str, mode: str) -> None:
    if reader == "torchcodec":
        try:
            import torchcodec.decoders  # noqa: F401
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"torchcodec does not load here: {str(error).splitlines()[0]}")
    for name in ("30 fps with B-frames", "variable frame rate", "HEVC with open GOPs"):
        path, _ = film_at(films, name)
        clip = all_cut(path, mode)[2]
        assert isinstance(clip, CutClip)
        (file := tmp_path / f"{name}.mp4").write_bytes(clip.mp4)
        codes = READERS[reader](file)
        assert codes[clip.first_frame : clip.first_frame + clip.n_frames] == wanted_codes(path, SPANS[2]), name


@pytest.mark.parametrize("name", kinds(FILMS))
def test_offset_ms_is_where_the_clip_starts_inside_the_mp4(films: Path, name: str) -> None:
    """A reader that goes by time alone takes the frames with offset <= time < offset + duration."""
    path, _ = film_at(films, name)
    for clip in all_cut(path, "remux").values():
        assert isinstance(clip, CutClip)
        start = Fraction(clip.offset_ms, 1000)
        end = start + Fraction(clip.end_ms - clip.start_ms, 1000)
        times = file_times(clip.mp4)
        assert [i for i, t in enumerate(times) if start <= t < end] == list(
            range(clip.first_frame, clip.first_frame + clip.n_frames)
        )


def file_times(mp4: bytes) -> list[Fraction]:
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        return sorted(packet.pts * stream.time_base for packet in container.demux(stream) if packet.size)


@pytest.mark.parametrize(
    ("name", "mode"),
    kinds(WITH_SOUND, "remux", "exact"),
)
def test_sound_stays_within_20_ms_of_the_pictures(films: Path, name: str, mode: str) -> None:
    """Ticks sound at whole seconds of source time; the mp4's file time is source time less a constant."""
    path, film = film_at(films, name)
    pictures_start_s = float(frame_times(path)[0])
    for clip in all_cut(path, mode).values():
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
            if (tick := second + pictures_start_s) * 1000 > clip.start_ms + 30
            and tick * 1000 < clip.end_ms - 60
            and film.audio_start_s + 0.05 < second < film.audio_end_s - 0.05
        ]
        assert len(inside) >= len(expected)
        for tick in expected:
            assert min(abs(t - tick) for t in inside) < 0.020


@pytest.mark.parametrize(("name", "mode"), [*kinds(WITH_SOUND, "remux"), *kinds(OF_EACH_CONTAINER, "exact")])
def test_sound_read_as_a_plain_array_begins_with_the_picture(films: Path, name: str, mode: str) -> None:
    path, film = film_at(films, name)
    pictures_start_s, n_ticks = float(frame_times(path)[0]), 0
    for clip in all_cut(path, mode).values():
        assert isinstance(clip, CutClip)
        shift_s = (clip.start_ms - clip.offset_ms) / 1000
        for tick_s in plain_ticks(clip.mp4) if clip.has_audio else ():
            at = tick_s + shift_s - pictures_start_s
            if film.audio_start_s + 0.05 < at < film.audio_end_s - 0.05:
                n_ticks += 1
                assert at - round(at) == pytest.approx(0, abs=0.04), (clip.n, at)
                assert at - round(at) == pytest.approx(-clip.audio_start_ms / 1000, abs=0.005), (clip.n, at)
    assert n_ticks >= 2


@pytest.mark.parametrize(
    "name", kinds(["30 fps with B-frames", "matroska, milliseconds only", "VP9 and Opus", "MP3 sound"])
)
def test_where_the_source_s_sound_has_a_hole_a_plain_array_has_silence(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film_at(films, name)
    holed = without_sound(path, tmp_path / f"holed{path.suffix}", 2.3, 3.4)
    pictures_start_s = float(frame_times(path)[0])
    clip = cut(holed, [Span(0, 1500, 5600)])[0]
    assert isinstance(clip, CutClip)
    shift_s = (clip.start_ms - clip.offset_ms) / 1000 - pictures_start_s
    ticks = [tick_s + shift_s for tick_s in plain_ticks(clip.mp4)]
    assert {4, 5} <= {round(at) for at in ticks if abs(at - round(at)) < 0.04}, ticks
    assert not any(2.5 < at < 3.3 for at in ticks)


def without_sound(path: Path, target: Path, start_s: float, end_s: float) -> Path:
    """Copies a film without the packets of sound between two times."""
    with av.open(str(path)) as source, av.open(str(target), "w") as copy:
        tracks = {s.index: copy.add_stream_from_template(s) for s in (source.streams.video[0], source.streams.audio[0])}
        for packet in source.demux():
            is_sound = packet.stream.type == "audio"
            if packet.pts is not None and not (is_sound and start_s < packet.pts * packet.time_base < end_s):
                packet.stream = tracks[packet.stream_index]
                copy.mux(packet)
    return target


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


def test_two_cuts_of_the_same_span_are_the_same_bytes(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact"):
        first, again = (cut(path, [SPANS[3]], mode=mode)[3] for _ in range(2))
        assert isinstance(first, CutClip)
        assert isinstance(again, CutClip)
        assert first.mp4 == again.mp4


SIXTY = {
    "h264, closed": ("mp4", Film(seconds=4, fps=Fraction(60), gop=50, **SMALL)),
    "h264, open": ("mp4", Film(seconds=4, fps=Fraction(60000, 1001), gop=50, open_gop=True, **SMALL)),
    "h264, transport stream": ("ts", Film(seconds=4, fps=Fraction(60), gop=50, start_s=100, **SMALL)),
    "h264, whole milliseconds": ("mkv", Film(seconds=4, fps=Fraction(60), gop=50, **SMALL)),
    "HEVC, open": ("mp4", Film(seconds=4, fps=Fraction(60), gop=50, codec="libx265", open_gop=True, **SMALL)),
}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("h264, open", "remux"),
        ("h264, transport stream", "exact"),
        pytest.param("HEVC, open", "remux", marks=pytest.mark.long),
        pytest.param("h264, closed", "remux", marks=pytest.mark.long),
        pytest.param("h264, transport stream", "remux", marks=pytest.mark.long),
        pytest.param("h264, whole milliseconds", "remux", marks=pytest.mark.long),
        pytest.param("h264, open", "exact", marks=pytest.mark.long),
    ],
)
def test_at_60_frames_a_second_times_rise_and_ffmpeg_has_nothing_to_say(tmp_path: Path, name: str, mode: str) -> None:
    suffix, film = SIXTY[name]
    path = a_video(tmp_path / f"film.{suffix}", film)
    spans = [Span(0, 0, 1500), Span(1, 733, 2611), Span(2, 1716, 3977)]
    for n, clip in cut(path, spans, mode=mode).items():
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        with av.open(str(file)) as container:
            for stream in container.streams:
                container.seek(0)
                packets = [packet for packet in container.demux(stream) if packet.size]
                decoded = [packet.dts for packet in packets]
                assert all(a < b for a, b in pairwise(decoded))
                assert len({packet.pts for packet in packets}) == len(packets)
                assert all(packet.pts >= packet.dts for packet in packets)
        read = [find_ffmpeg(), "-v", "warning", "-xerror", "-i", str(file)]
        copied = ["-c", "copy", "-f", "mp4", "-y", "/dev/null"]
        shown = ["-fps_mode", "passthrough", "-f", "null", "-"]
        done = subprocess.run([*read, *copied, *shown], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_rotation_survives_every_mode(films: Path, tmp_path: Path) -> None:
    path, _ = film_at(films, "rotated by a quarter")
    for mode in ("remux", "exact"):
        clip = cut(path, [SPANS[4]], mode=mode)[4]
        assert isinstance(clip, CutClip)
        file = tmp_path / f"{mode}.mp4"
        file.write_bytes(clip.mp4)
        again = probe(file, LIMITS).video
        assert (again.width, again.height, again.rotation) == (180, 320, probe(path, LIMITS).video.rotation)


LOOKED_AT_MS = 2500
"""How far into each sample the frames are compared: long enough for a second group of pictures in most."""


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.long)])
def test_720p_clips_of_the_samples_have_their_source_s_pictures(samples: Path, every: int) -> None:
    """Frame by frame, by hash: what a remuxed clip decodes to is what the source decodes to."""
    checked = 0
    for path in sorted((samples / "videos").iterdir())[::every]:
        if path.suffix == ".tsv":
            continue
        try:
            refuse_unfit(probe(path, LIMITS), CutConfig(hdr="keep"))
        except Unusable:
            continue
        if path.name not in ("decord__corrupted.mp4", "imageio-binaries__cockatoo.mp4"):  # damaged; H.264 in 4:4:4
            _assert_same_pictures(path)
            checked += 1
    assert checked >= 10 // every


def _assert_same_pictures(path: Path) -> None:
    source = probe(path, LIMITS)
    duration_ms = min(source.duration_ms, LOOKED_AT_MS)
    spans = [Span(0, duration_ms // 3, duration_ms * 9 // 10), Span(1, source.video.start_ms, duration_ms)]
    until_s = source.zero_s + Fraction(duration_ms, 1000) + 1  # some samples have frames out of order
    pictures = [
        (1000 * (time - source.zero_s), digest) for time, digest in timed_hashes(path, source.video.index, until_s)
    ]
    for clip in cut_clips(source, spans, CutConfig(hdr="keep"), LIMITS):
        assert isinstance(clip, CutClip), (path.name, clip)
        wanted = [digest for time_ms, digest in pictures if clip.start_ms <= time_ms < clip.end_ms]
        inside = frame_hashes(clip.mp4)[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == wanted, path.name
