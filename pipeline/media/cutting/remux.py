"""Mode `remux`: copies a span's packets from the keyframe before it, and records where the sentence is inside.

Nothing is decoded or encoded, so the frames are the source's own and a cut costs less than starting a program.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from manifests.reasons import Reason
from pipeline.media.cutting.audio import COPIED, encode_audio, without_gaps
from pipeline.media.cutting.mp4 import Track, write_mp4
from pipeline.media.cutting.span import CutClip, Span, fit_span, source_ms, tick_at
from pipeline.media.cutting.window import audio_window, decode_times, picture_window, read_only
from pipeline.media.probe import Probe, Unusable
from pipeline.media.streams import VideoTrack

CARRIED = ("h264", "hevc", "vp9", "av1")
"""Video codecs whose packets are copied into an mp4."""

MAX_PREROLL_MS = 60_000
"""Longest way back to a keyframe: all of it is in the clip's file."""

AUDIO_PREROLL_MS = 100
"""Audio kept before the clip, so that decoders have settled when it starts."""


def remux(container: Any, source: Probe, span: Span) -> CutClip:
    """Cuts the clip of a span out of the open file: video packets are read first, then audio.

    Raises Unusable with the reason where the span or the file cannot be used.
    """
    _refuse_formats(source)
    span = fit_span(span, source)
    stream = container.streams[source.video.index]
    read_only(container, stream.index)
    window = picture_window(container, stream, span, source, MAX_PREROLL_MS)
    from_ms = math.floor(source_ms(window.packets[0].pts, source, stream.time_base))
    track = Track(stream, window.packets, decode_times(window.packets), stream.time_base)
    decode_ms = _decode_ms(track, source)
    if from_ms - decode_ms > MAX_PREROLL_MS:  # its times lie; audio would get silence from there on
        raise Unusable(
            Reason.BROKEN_MEDIA, f"a picture is decoded {(from_ms - decode_ms) // 1000} s before it is shown"
        )
    audio = _audio_of(container, source, span, decode_ms) if source.audio else None
    base_ms = _base_ms(track, audio, source)
    audio_start_ms = _audio_start_ms(audio, source, base_ms)  # before write_mp4 overwrites the packets' times
    data = write_mp4(track, audio, Fraction(base_ms, 1000) + source.zero_s)
    return CutClip(
        n=span.n,
        mp4=data,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        offset_ms=span.start_ms - base_ms,
        first_frame=window.first_frame,
        n_frames=window.n_frames,
        has_audio=audio is not None,
        mode="remux",
        codec=source.video.codec,
        from_ms=from_ms,
        audio_start_ms=audio_start_ms,
    )


def is_h264_444(video: VideoTrack) -> bool:
    """Whether it is H.264 whose chroma is as fine as its luma: YCbCr 4:4:4, or RGB."""
    return video.codec == "h264" and video.pix_fmt.startswith(("yuv444", "yuvj444", "gbr"))


def _refuse_formats(source: Probe) -> None:
    if source.video.codec not in CARRIED:
        raise Unusable(Reason.UNSUPPORTED_CODEC, f"{source.video.codec}; carried over are {', '.join(CARRIED)}")
    if is_h264_444(source.video):
        # x264 before build 151 wrote 4:4:4 wrongly; decoders correct it by the build's number, which is only in
        # the file's first packet and so is lost by any cut.
        raise Unusable(
            Reason.UNSUPPORTED_MEDIA, "H.264 in 4:4:4 decodes correctly only as a whole; use cut.mode: exact"
        )


def _audio_of(container: Any, source: Probe, span: Span, decode_ms: int) -> Track | None:
    """Audio packets from the video's first decode time on, silent where the source has none; encoded anew if an mp4
    can't carry them, or none of silence can be made.
    """
    assert source.audio is not None
    stream = container.streams[source.audio.index]
    read_only(container, stream.index)
    begin_ms = min(decode_ms, max(0, span.start_ms - AUDIO_PREROLL_MS))
    if source.audio.codec in COPIED:
        packets = audio_window(container, stream, begin_ms, span, source)
        if not packets:
            return None
        packets[0].pts = _begins_at(packets)
        packets = without_gaps(stream, packets, tick_at(begin_ms, source, stream.time_base))
        if packets:
            return Track(stream, packets, [packet.pts for packet in packets], stream.time_base)
    return encode_audio(container, stream, source, begin_ms, span.end_ms)


def _base_ms(pictures: Track, audio: Track | None, source: Probe) -> int:
    """Source time (whole ms) of file time 0: the start of the audio, but never after the first frame's decode time."""
    if audio is None:
        return _decode_ms(pictures, source)
    return min(_decode_ms(pictures, source), round(source_ms(audio.packets[0].pts, source, audio.time_base)))


def _audio_start_ms(audio: Track | None, source: Probe, base_ms: int) -> int:
    """File time of the first decoded sample: later than 0 if the first packet had to be stretched back to it."""
    if audio is None:
        return 0
    begin_ms = source_ms(audio.packets[0].pts, source, audio.time_base) - base_ms
    return round(begin_ms + _skipped_ms(audio.template.codec_context))


def _begins_at(packets: Sequence[Any]) -> int:
    """Tick of the first packet; a source whose own first packet is stretched has it right before the second."""
    first = int(packets[0].pts)
    if len(packets) < 2 or not packets[1].duration:
        return first
    length = int(packets[1].duration)
    return packets[1].pts - length if packets[1].pts - first > 3 * length // 2 else first


def _skipped_ms(context: Any) -> Fraction:
    """What decoders drop at the start of an Opus track, ms: its pre-skip, in samples at 48 kHz (RFC 7845, 5.1)."""
    head: bytes = context.extradata or b""
    if context.codec.canonical_name != "opus" or not head.startswith(b"OpusHead") or len(head) < 12:
        return Fraction(0)
    return Fraction(int.from_bytes(head[10:12], "little"), 48)


def _decode_ms(pictures: Track, source: Probe) -> int:
    return math.floor(source_ms(pictures.dts[0], source, pictures.time_base))
