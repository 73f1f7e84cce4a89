"""Cuts are held against the source's own pictures: the frame code burned in, read back by several decoders."""

import io
import math
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.cutting import CutClip, CutFailure, Span, cut_clips
from pipeline.media.cutting.mp4 import timescale
from pipeline.media.cutting.window import _made_decode_times, decode_times
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit
from pipeline.testing.readers import READERS, codes_by_pyav, frame_hashes, timed_hashes
from pipeline.testing.video import Film, a_video, tick_times, vfr_times

SMALL = {"width": 320, "height": 180}
LIMITS = MediaLimits()

FILMS: dict[str, tuple[str, Film]] = {
    "30 fps with B-frames": ("mp4", Film(seconds=9, fps=Fraction(30000, 1001), gop=75, **SMALL)),
    "one long GOP": ("mp4", Film(seconds=8, gop=1000, **SMALL)),
    "open GOP": ("mp4", Film(seconds=8, gop=40, open_gop=True, **SMALL)),
    "variable frame rate": ("mp4", Film(times_s=vfr_times(9), gop=60, **SMALL)),
    "transport stream that starts at 100 s": ("ts", Film(seconds=8, gop=40, start_s=100, **SMALL)),
    "matroska, milliseconds only": ("mkv", Film(seconds=8, fps=Fraction(24000, 1001), gop=48, **SMALL)),
    "flv": ("flv", Film(seconds=8, gop=40, **SMALL)),
    "no sound": ("mp4", Film(seconds=8, gop=40, audio="", **SMALL)),
    "two tracks of sound": ("mp4", Film(seconds=8, gop=40, n_audio_tracks=2, **SMALL)),
    "sound that begins late and ends early": (
        "mp4",
        Film(seconds=8, gop=40, audio_start_s=2.5, audio_end_s=5, **SMALL),
    ),
    "rotated by a quarter": ("mp4", Film(seconds=8, gop=40, rotation=90, **SMALL)),
    "portrait": ("mp4", Film(seconds=8, gop=40, width=180, height=320)),
    "HEVC with open GOPs": ("mp4", Film(seconds=8, gop=40, codec="libx265", open_gop=True, crf=20, **SMALL)),
    "VP9 and Opus": ("webm", Film(seconds=8, gop=40, codec="libvpx-vp9", audio="libopus", crf=20, **SMALL)),
    "AV1": ("mp4", Film(seconds=8, gop=40, codec="libsvtav1", crf=14, **SMALL)),
    "10 bits": ("mp4", Film(seconds=8, gop=40, codec="libx265", pix_fmt="yuv420p10le", crf=18, **SMALL)),
    "MP3 sound": ("mp4", Film(seconds=8, gop=40, audio="libmp3lame", **SMALL)),
    "PCM sound, which mp4 cannot carry": ("mkv", Film(seconds=8, gop=40, audio="pcm_s16le", **SMALL)),
}

SPANS = [  # overlapping, unsorted, at the very start, at the end, short, next to each other
    Span(0, 3000, 5200),
    Span(1, 0, 1500),
    Span(2, 1234, 4321),
    Span(3, 4321, 5800),
    Span(4, 33, 310),
    Span(5, 6500, 7900),
]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def film_at(films: Path, name: str) -> tuple[Path, Film]:
    suffix, film = FILMS[name]
    path = films / f"{name.replace(' ', '-')}.{suffix}"
    if not path.exists():
        a_video(path, film)
    return path, film


def cut(path: Path, spans: list[Span], **config: object) -> dict[int, CutClip | CutFailure]:
    source = probe(path, LIMITS)
    settings = CutConfig.model_validate({"min_short_side": 0, **config})
    return {one.n: one for one in cut_clips(source, spans, settings, LIMITS)}


def wanted_codes(path: Path, span: Span) -> list[int]:
    """Numbers of the frames with start <= time < end, from the times that the file itself has."""
    source = probe(path, LIMITS)
    times = [time - source.zero_s for time, _ in timed_hashes(path, source.video.index)]
    start, end = Fraction(span.start_ms, 1000), Fraction(span.end_ms, 1000)
    return [i for i, time in enumerate(times) if start <= time < end]


@pytest.mark.parametrize("name", FILMS)
def test_a_remuxed_clip_holds_exactly_the_frames_of_its_span(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film_at(films, name)
    for n, clip in cut(path, SPANS).items():
        span = SPANS[n]
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        codes = codes_by_pyav(file)
        inside = codes[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == wanted_codes(path, span)
        assert len(inside) == clip.n_frames


@pytest.mark.parametrize("name", [n for n in FILMS if n != "10 bits"])
def test_an_exact_clip_begins_and_ends_with_the_frames_of_its_span(films: Path, tmp_path: Path, name: str) -> None:
    path, _ = film_at(films, name)
    for n, clip in cut(path, SPANS, mode="exact", exact_preset="ultrafast", exact_crf=16).items():
        assert isinstance(clip, CutClip), clip
        file = tmp_path / f"{n}.mp4"
        file.write_bytes(clip.mp4)
        assert clip.first_frame == 0
        assert codes_by_pyav(file) == wanted_codes(path, SPANS[n])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "name", ["30 fps with B-frames", "open GOP", "variable frame rate", "HEVC with open GOPs", "AV1"]
)
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_every_decoder_finds_the_same_frames(films: Path, tmp_path: Path, name: str, reader: str, mode: str) -> None:
    if reader == "torchcodec":
        try:
            import torchcodec.decoders  # noqa: F401
        except (ImportError, OSError, RuntimeError) as error:
            pytest.skip(f"torchcodec does not load here: {str(error).splitlines()[0]}")
    path, _ = film_at(films, name)
    clip = cut(path, [SPANS[2]], mode=mode, exact_preset="ultrafast", exact_crf=16)[2]
    assert isinstance(clip, CutClip)
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip.mp4)
    codes = READERS[reader](file)
    assert codes[clip.first_frame : clip.first_frame + clip.n_frames] == wanted_codes(path, SPANS[2])


@pytest.mark.parametrize("name", FILMS)
def test_offset_ms_is_where_the_clip_starts_inside_the_mp4(films: Path, name: str) -> None:
    """A reader that goes by time alone takes the frames with offset <= time < offset + duration."""
    path, _ = film_at(films, name)
    for clip in cut(path, SPANS).values():
        assert isinstance(clip, CutClip)
        start = Fraction(clip.offset_ms, 1000)
        end = start + Fraction(clip.end_ms - clip.start_ms, 1000)
        times = file_times(clip.mp4)
        assert [i for i, t in enumerate(times) if start <= t < end] == list(
            range(clip.first_frame, clip.first_frame + clip.n_frames)
        )


def file_times(mp4: bytes) -> list[Fraction]:
    import av

    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        return sorted(packet.pts * stream.time_base for packet in container.demux(stream) if packet.size)


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
    import av

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


def test_two_cuts_of_the_same_span_are_the_same_bytes(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact"):
        first, again = (cut(path, [SPANS[2]], mode=mode)[2] for _ in range(2))
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


@pytest.mark.parametrize("mode", ["remux", "exact"])
@pytest.mark.parametrize("name", SIXTY)
def test_at_60_frames_a_second_times_rise_and_ffmpeg_has_nothing_to_say(tmp_path: Path, name: str, mode: str) -> None:
    suffix, film = SIXTY[name]
    path = a_video(tmp_path / f"film.{suffix}", film)
    spans = [Span(0, 0, 1500), Span(1, 733, 2611), Span(2, 1716, 3977)]
    for n, clip in cut(path, spans, mode=mode, exact_preset="ultrafast").items():
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
        copied = [*read, "-c", "copy", "-f", "mp4", "-y", "/dev/null"]
        shown = [*read, "-fps_mode", "passthrough", "-f", "null", "-"]
        for command in (copied, shown):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_a_clip_has_no_edit_list_and_no_wall_clock(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact", "keyframe"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        assert b"elst" not in clip.mp4
        assert b"Lavf" not in clip.mp4


def test_a_keyframe_clip_says_that_it_begins_at_the_keyframe(films: Path, tmp_path: Path) -> None:
    path, film = film_at(films, "30 fps with B-frames")
    clip = cut(path, [SPANS[0]], mode="keyframe")[0]
    assert isinstance(clip, CutClip)
    assert clip.mode == "keyframe"
    assert clip.first_frame == 0
    assert clip.start_ms == math.floor(1000 * 75 / film.fps)  # the keyframe at frame 75, before 3000 ms
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip.mp4)
    assert codes_by_pyav(file)[: clip.n_frames] == wanted_codes(path, Span(0, clip.start_ms, clip.end_ms))


@pytest.mark.parametrize("mode", ["remux", "keyframe"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_clip_that_begins_on_a_keyframe_carries_no_group_before_it(films: Path, mode: str, suffix: str) -> None:
    path = films / f"every-second.{suffix}"
    a_video(path, Film(seconds=5, gop=25, audio="", **SMALL))

    clip = cut(path, [Span(0, 2000, 4000)], mode=mode)[0]

    assert isinstance(clip, CutClip)
    assert (clip.start_ms, clip.first_frame, clip.n_frames) == (2000, 0, 50)


def test_a_span_outside_the_video_costs_only_itself(films: Path) -> None:
    path, _ = film_at(films, "open GOP")
    spans = [Span(0, 20_000, 25_000), Span(1, 1000, 2000), Span(2, 2000, 2000), Span(3, 7000, 9000)]
    for mode in ("remux", "exact"):
        made = cut(path, spans, mode=mode)
        assert isinstance(made[1], CutClip)
        for n in (0, 2, 3):
            failure = made[n]
            assert isinstance(failure, CutFailure)
            assert failure.reason is Reason.SPAN_OUTSIDE


def test_a_span_that_ends_a_little_late_is_trimmed_to_the_video(films: Path) -> None:
    path, _ = film_at(films, "open GOP")
    clip = cut(path, [Span(0, 7000, 8300)])[0]
    assert isinstance(clip, CutClip)
    assert clip.end_ms == 8000
    assert clip.n_frames == 25


def test_a_keyframe_too_far_back_is_a_reject_that_names_the_cure(films: Path) -> None:
    path, _ = film_at(films, "one long GOP")
    failure = cut(path, [SPANS[5]], max_preroll_ms=2000)[5]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA
    assert "exact" in failure.detail


def test_exact_refuses_ten_bits_rather_than_lose_two(films: Path) -> None:
    path, _ = film_at(films, "10 bits")
    failure = cut(path, [SPANS[2]], mode="exact")[2]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA


def test_rotation_survives_every_mode(films: Path, tmp_path: Path) -> None:
    path, _ = film_at(films, "rotated by a quarter")
    for mode in ("remux", "exact", "keyframe"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        file = tmp_path / f"{mode}.mp4"
        file.write_bytes(clip.mp4)
        again = probe(file, LIMITS).video
        assert (again.width, again.height, again.rotation) == (180, 320, probe(path, LIMITS).video.rotation)


def test_every_720p_clip_of_the_samples_has_its_source_s_pictures(samples: Path) -> None:
    """Frame by frame, by hash: what a remuxed clip decodes to is what the source decodes to."""
    checked = 0
    for path in sorted((samples / "videos").iterdir()):
        if path.suffix == ".tsv":
            continue
        try:
            refuse_unfit(probe(path, LIMITS), CutConfig(hdr="keep"))
        except Unusable:
            continue
        if path.name not in ("decord__corrupted.mp4", "imageio-binaries__cockatoo.mp4"):  # damaged; H.264 in 4:4:4
            _assert_same_pictures(path)
            checked += 1
    assert checked >= 10


def test_h264_in_444_is_a_reject_of_its_own(samples: Path) -> None:
    path = samples / "videos" / "imageio-binaries__cockatoo.mp4"
    failure = cut(path, [Span(0, 1000, 5000)])[0]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA
    assert isinstance(cut(path, [Span(0, 1000, 2000)], mode="exact")[0], CutClip)


def _assert_same_pictures(path: Path) -> None:
    source = probe(path, LIMITS)
    duration_ms = min(source.duration_ms, 30_000)
    spans = [
        Span(0, duration_ms // 10, duration_ms // 2),
        Span(1, duration_ms // 3, duration_ms * 9 // 10),
        Span(2, source.video.start_ms, duration_ms),
    ]
    pictures = [
        (1000 * (time - source.zero_s), digest)
        for time, digest in timed_hashes(path, source.video.index)
        if 1000 * (time - source.zero_s) < duration_ms + 1000
    ]
    for clip in cut_clips(source, spans, CutConfig(hdr="keep"), LIMITS):
        assert isinstance(clip, CutClip), (path.name, clip)
        wanted = [digest for time_ms, digest in pictures if clip.start_ms <= time_ms < clip.end_ms]
        inside = frame_hashes(clip.mp4)[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == wanted, path.name


@pytest.mark.parametrize(
    ("own", "kept"),
    [([0, 10, 20], True), ([0, None, 20], False), ([0, 10, 10], False), ([0, 10, 90], False)],
    ids=["sound", "missing", "not rising", "after its picture"],
)
def test_a_files_own_decode_times_are_kept_where_they_are_sound(own: list[int | None], kept: bool) -> None:
    shown = [15, 40, 30]
    packets = [SimpleNamespace(pts=pts, dts=dts) for pts, dts in zip(shown, own, strict=True)]
    assert decode_times(packets) == (own if kept else _made_decode_times(shown))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True))
@settings(max_examples=200, deadline=None)
def test_made_decode_times_rise_and_never_come_after_the_picture(shown: list[int]) -> None:
    times = _made_decode_times(shown)
    assert len(times) == len(shown)
    assert all(a < b for a, b in pairwise(times))
    assert all(decode <= pts for decode, pts in zip(times, shown, strict=True))


@given(st.sampled_from([1000, 12800, 15360, 30000, 24000, 90000, 48, 11988, 600]))
def test_whole_milliseconds_are_whole_ticks(denominator: int) -> None:
    ticks = timescale(Fraction(1, denominator))
    assert ticks % 1000 == 0
    assert ticks % denominator == 0


def test_exact_says_that_pictures_of_odd_size_cannot_be_encoded(samples: Path) -> None:
    path = samples / "videos" / "media__bear-vp9-odd-dimensions.webm"
    [clip] = cut(path, [Span(0, 0, 800)], mode="exact").values()
    assert isinstance(clip, CutFailure)
    assert (clip.reason, "161x121" in clip.detail) == (Reason.UNSUPPORTED_MEDIA, True)
