"""A clip to play in the report: its own pictures and sound, small, and nothing that comes before its sentence."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.config.media import MediaLimits
from pipeline.media.probe import Unusable, open_media

WIDTH = 480
BYTES_A_SECOND = 30_000
"""More than nearly all previews need: one for which there is no room is not made."""
_MOST_FPS = 15
_CRF = 31
_RATE, _SOUND_BITS = 44_100, 40_000
_CLOCK = Fraction(1, 90_000)


def preview(mp4: bytes, first_frame: int, n_frames: int) -> bytes:
    """An mp4 of these frames, 480 pixels wide, with their sound in mono; b"" for a file that cannot be read."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as film:
        film.write(mp4)
        film.flush()
        try:
            with open_media(Path(film.name), MediaLimits()) as source:
                return _small(source, first_frame, n_frames)
        except (Unusable, av.FFmpegError, ValueError):
            return b""


def _small(source: Any, first_frame: int, n_frames: int) -> bytes:
    video, audio = source.streams.video[0], next(iter(source.streams.audio), None)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as made:  # noqa: TID251 - written
        pictures: Any = made.add_stream("libx264", rate=_MOST_FPS)
        sound: Any = made.add_stream("aac", rate=_RATE, layout="mono") if audio else None
        start_s, end_s = _encode_pictures(source.decode(video), made, pictures, first_frame, n_frames)
        if sound is not None:
            sound.bit_rate = _SOUND_BITS
            source.seek(0)
            _encode_sound(source.decode(audio), made, sound, start_s, end_s)
    return buffer.getvalue()


def _encode_pictures(frames: Any, made: Any, stream: Any, first_frame: int, n_frames: int) -> tuple[float, float]:
    """Encodes these frames, of which some are left out above 15 a second; the file's time where they begin and end."""
    start_s = end_s = next_s = 0.0
    for number, frame in enumerate(frames):
        if number < first_frame or frame.time is None:
            continue
        if number >= first_frame + n_frames:
            end_s = frame.time
            break
        if number == first_frame:
            start_s = next_s = frame.time
            stream.width, stream.height = WIDTH, max(2, round(frame.height * WIDTH / frame.width / 2) * 2)
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", _CLOCK
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"preset": "veryfast", "crf": str(_CRF)}
        end_s = frame.time + 1 / _MOST_FPS
        if frame.time < next_s - 0.005:
            continue
        next_s = max(next_s + 1 / _MOST_FPS, frame.time)
        small = frame.reformat(stream.width, stream.height, "yuv420p")
        small.pict_type, small.time_base = av.video.frame.PictureType.NONE, _CLOCK
        small.pts = round((frame.time - start_s) / _CLOCK)
        made.mux(stream.encode(small))
    made.mux(stream.encode(None))
    return start_s, end_s


def _encode_sound(frames: Any, made: Any, stream: Any, start_s: float, end_s: float) -> None:
    resampler = av.AudioResampler("fltp", "mono", _RATE)
    at: int | None = None
    for frame in frames:
        if frame.time is None or frame.time < start_s:
            continue
        if frame.time >= end_s:
            break
        for block in resampler.resample(frame):
            at = round((frame.time - start_s) * _RATE) if at is None else at
            block.pts, block.time_base = at, Fraction(1, _RATE)
            at += block.samples
            made.mux(stream.encode(block))
    made.mux(stream.encode(None))
