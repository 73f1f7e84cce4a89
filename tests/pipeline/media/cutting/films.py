"""Films of every kind, cut in each way, and the frames that a clip must hold."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import av

from hdvila_testing.readers import timed_hashes
from hdvila_testing.video import Film, a_video, vfr_times
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.cutting import CutClip, CutFailure, Span, cut_clips
from pipeline.media.probe import probe

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


def begun_earlier(path: Path, target: Path, by_s: Fraction, **options: str) -> Path:
    """A copy of a file's packets whose clock says `by_s` less: what was at its beginning is shown before time zero."""
    muxing = {"fflags": "+bitexact", "avoid_negative_ts": "disabled", **options}
    with av.open(str(path)) as read, av.open(str(target), "w", options=muxing) as write:
        tracks = [write.add_stream_from_template(stream) for stream in read.streams]
        for packet in read.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                ticks = round(by_s / packet.time_base)
                packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
                packet.stream = tracks[packet.stream_index]
                write.mux(packet)
    return target


@cache
def all_cut(path: Path, mode: str) -> dict[int, CutClip | CutFailure]:
    """The clips of `SPANS`, cut once for all tests of a process; exact ones quickly and with readable codes."""
    return cut(path, SPANS, mode=mode, exact_crf=16)


@cache
def frame_times(path: Path) -> tuple[Fraction, ...]:
    """When each frame of a file is shown, seconds of source time: the times that the file itself has."""
    source = probe(path, LIMITS)
    return tuple(time - source.zero_s for time, _ in timed_hashes(path, source.video.index))


def wanted_codes(path: Path, span: Span) -> list[int]:
    """Numbers of the frames with start <= time < end."""
    start, end = Fraction(span.start_ms, 1000), Fraction(span.end_ms, 1000)
    return [i for i, time in enumerate(frame_times(path)) if start <= time < end]
