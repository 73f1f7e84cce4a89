"""Mode `exact`: frames re-encoded with short GOPs, for readers that cannot apply an offset.

One decoder runs over the video, forward only, and skips to a later keyframe where there is no span in between. A frame
goes to every span that contains it, so neighbouring and overlapping sentences are decoded once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

from manifests.colour import RGB, SMPTE170M
from manifests.reasons import Reason
from pipeline.config.media import CutConfig
from pipeline.media.cutting.audio import encode_audio, read_back
from pipeline.media.cutting.mp4 import Track, new_mp4, timescale, write_mp4
from pipeline.media.cutting.span import CutClip, CutFailure, Span, fit_span, source_ms, tick_at
from pipeline.media.cutting.window import packets_from
from pipeline.media.probe import Probe, Unusable

EXACT_PRESET = "superfast"
"""Of x264, here and in converted copies. A frame of a real 720p film at crf 23 on one thread, mean of 250: ultrafast
3.7 ms, 8.6 kB, 42.7 dB; superfast 6.6 ms, 6.8 kB, 45.1 dB; veryfast 10.1 ms, 4.6 kB, 43.6 dB.
"""
ENCODER_THREADS = 1
"""Of each encoder: a unit has one core, and x264 with another number gives other bytes."""
EXACT_GOP = 30
"""Most frames between two keyframes: a reader that seeks decodes a second at most."""


def exact_clips(
    pictures: Any, audio_file: Any | None, source: Probe, spans: Sequence[Span], config: CutConfig
) -> Iterator[CutClip | CutFailure]:
    """Yields each span (given in the order of their starts) as a clip that starts at its first frame, or a failure."""
    fitting: list[Span] = []
    for span in spans:
        try:
            _refuse_formats(source)
            fitting.append(fit_span(span, source))
        except Unusable as fault:
            yield CutFailure(span.n, fault.reason, fault.detail)
    for job in _encoded(pictures, source, fitting, config) if fitting else ():
        yield _finished(job, audio_file, source)


def _refuse_formats(source: Probe) -> None:
    if source.video.hdr or source.video.bit_depth > 8:
        raise Unusable(
            Reason.UNSUPPORTED_MEDIA,
            f"{source.video.bit_depth} bits: encoded pictures have 8 bits; use cut.mode: remux",
        )
    if source.video.coded_width % 2 or source.video.coded_height % 2:
        size = f"{source.video.coded_width}x{source.video.coded_height}"
        raise Unusable(Reason.UNSUPPORTED_MEDIA, f"{size}: encoded pictures need even sides; use cut.mode: remux")


@dataclass(slots=True)
class _Job:
    """A span on its way through an encoder."""

    span: Span
    start: int
    end: int
    buffer: io.BytesIO = field(default_factory=io.BytesIO)
    container: Any = None
    stream: Any = None
    times: list[int] = field(default_factory=list)
    fault: str = ""


def _encoded(pictures: Any, source: Probe, spans: Sequence[Span], config: CutConfig) -> Iterator[_Job]:
    """Yields the jobs of the spans, each when its last frame is encoded."""
    stream = pictures.streams[source.video.index]
    base = stream.time_base
    waiting = [_Job(s, tick_at(s.start_ms, source, base), tick_at(s.end_ms, source, base)) for s in spans]
    for frame in _frames_for(waiting, pictures, stream):
        for job in waiting:
            if job.start <= frame.pts < job.end and not job.fault:
                _encode_or_tell(job, frame, stream, source, config)
        done = [job for job in waiting if job.end <= frame.pts]
        if done:
            waiting[:] = [job for job in waiting if job.end > frame.pts]
            yield from (_closed(job) for job in done)
        if not waiting:
            return
    yield from (_closed(job) for job in waiting)


def _frames_for(waiting: list[_Job], container: Any, stream: Any) -> Iterator[Any]:
    """Yields decoded frames in order, as far as the jobs that still wait (in the order of their starts) need them.

    Between two spans, packets are held back undecoded; those before the last keyframe at or before the next span are
    dropped. Packets that fail to decode are skipped.
    """
    stream.codec_context.flush_buffers()
    held: list[Any] = []
    shown: int | None = None
    for packet in packets_from(container, stream, waiting[0].start):
        next_start = waiting[0].start
        between = shown is not None and shown < next_start and packet.pts is not None
        if between and packet.is_keyframe and packet.pts <= next_start:
            held = [packet]
            continue
        if between and packet.pts < next_start:
            held.append(packet)
            continue
        if held and held[0].is_keyframe:
            stream.codec_context.flush_buffers()
        for held_back in (*held, packet):
            for frame in decoded(held_back):
                yield frame
                shown = frame.pts
        held = []
    for held_back in held:
        yield from decoded(held_back)
    yield from decoded(None, stream)


def decoded(packet: Any | None, stream: Any = None) -> list[Any]:
    """Decodes a packet (None: flushes the decoder of `stream`) into frames; [] where that fails."""
    try:
        frames = packet.decode() if packet is not None else stream.codec_context.decode(None)
    except av.FFmpegError:
        return []
    return [frame for frame in frames if frame.pts is not None]


def _encode_or_tell(job: _Job, frame: Any, stream: Any, source: Probe, config: CutConfig) -> None:
    """Encodes a frame. One that the encoder refuses (its size changed midway) fails only this clip."""
    try:
        _encode(job, frame, stream, source, config)
    except (av.FFmpegError, ValueError) as error:
        job.fault = f"a picture of {frame.width}x{frame.height} cannot be encoded: {error}"


def _encode(job: _Job, frame: Any, stream: Any, source: Probe, config: CutConfig) -> None:
    if job.container is None:
        _open(job, stream, source, config)
    scale = timescale(stream.time_base)
    shown = frame.pts
    picture = frame.reformat(format="yuv420p")
    picture.pict_type = av.video.frame.PictureType.NONE
    picture.time_base = Fraction(1, scale)
    picture.pts = round((shown - job.start) * stream.time_base * scale)
    job.container.mux(job.stream.encode(picture))
    job.times.append(shown)
    frame.pts, frame.time_base = shown, stream.time_base  # reformat may have returned the same frame object


def _open(job: _Job, stream: Any, source: Probe, config: CutConfig) -> None:
    scale = timescale(stream.time_base)
    job.container = new_mp4(job.buffer, scale)
    job.stream = job.container.add_stream("libx264", rate=source.video.fps or 25)
    job.stream.width, job.stream.height = source.video.coded_width, source.video.coded_height
    job.stream.pix_fmt = "yuv420p"
    context, original = job.stream.codec_context, stream.codec_context
    context.time_base = Fraction(1, scale)
    context.gop_size, context.max_b_frames = EXACT_GOP, 0
    context.thread_count = ENCODER_THREADS
    context.sample_aspect_ratio = source.video.sar
    context.color_range, context.colorspace = original.color_range, original.colorspace
    if original.colorspace == RGB:  # libswscale makes BT.601 of it
        context.colorspace = SMPTE170M
    context.color_primaries, context.color_trc = original.color_primaries, original.color_trc
    context.flags |= av.codec.context.Flags.bitexact
    context.options = {"preset": EXACT_PRESET, "crf": str(config.exact_crf), "bf": "0"}
    if source.video.rotation:
        job.stream.set_display_rotation(-source.video.rotation)


def _closed(job: _Job) -> _Job:
    if job.container is None or job.fault:
        return job
    try:
        job.container.mux(job.stream.encode(None))
        job.container.close()
    except av.FFmpegError as error:  # such as times that run backwards, in frames that the encoder held
        job.fault = f"its pictures cannot be written as mp4: {error}"
    return job


def _finished(job: _Job, audio_file: Any | None, source: Probe) -> CutClip | CutFailure:
    """Joins the encoded frames of a span and its audio into the finished clip."""
    span, base = job.span, source.video.time_base
    if job.fault:
        return CutFailure(span.n, Reason.BROKEN_MEDIA, job.fault)
    if not job.times:
        return CutFailure(
            span.n, Reason.SPAN_OUTSIDE, f"no frame from {span.start_ms} to {span.end_ms} ms can be decoded"
        )
    template, packets = read_back(job.buffer)
    if len(packets) != len(job.times):
        return CutFailure(span.n, Reason.BROKEN_MEDIA, f"{len(job.times)} frames gave {len(packets)} packets")
    for packet, pts in zip(packets, job.times, strict=True):
        packet.pts = pts
    audio = _audio_of(audio_file, source, span)
    base_ms = span.start_ms
    if audio is not None:
        base_ms = min(base_ms, round(source_ms(audio.packets[0].pts, source, audio.time_base)))
    data = write_mp4(Track(template, packets, job.times, base), audio, Fraction(base_ms, 1000) + source.zero_s)
    return CutClip(
        n=span.n,
        mp4=data,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        offset_ms=span.start_ms - base_ms,
        first_frame=0,
        n_frames=len(packets),
        has_audio=audio is not None,
        mode="exact",
        codec="h264",
        from_ms=span.start_ms,
    )


def _audio_of(audio_file: Any | None, source: Probe, span: Span) -> Track | None:
    if audio_file is None or source.audio is None:
        return None
    stream = audio_file.streams[source.audio.index]
    return encode_audio(audio_file, stream, source, span.start_ms, span.end_ms)
