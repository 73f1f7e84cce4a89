"""Probes media files with PyAV alone: tracks, times, size after rotation. `open_media` is how every file is opened.

Source time. A player shows a file's earliest frame or audio at its time zero, so times here are counted from `zero_s`,
the earliest start of any track (0 if that is negative: encoder delay; but a transport stream's clock wraps). Times are
exact fractions, so whether a frame is before or after a limit never depends on rounding.
"""

import math
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from manifests.reasons import Reason
from manifests.sample import MAX_PIXELS
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.engine.work.unit import Rejected
from pipeline.media.keyframes import Keyframes
from pipeline.media.streams import AudioTrack, VideoTrack, audio_track, video_track

CONTAINERS = "mov,matroska,webm,mpegts,flv,avi"
"""Demuxers that may open a file: none for playlists or scripts (HLS, DASH, concat), which name other files or URLs."""

ANY_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Accepts tags that are not UTF-8: PyAV 18 needs this option, PyAV 19 no longer has it."""

OPEN_TIMEOUT_S = 60.0
"""Opening a file and reading a packet may take this long by the clock."""

_MOST_SHAPE = 16
"""How many times its short side a picture may be long: a few bytes claim any shape, and stills fill the memory."""

_GENERATE_PTS = 1
"""FFmpeg's flag, set by PyAV, to make presentation times: without B-frames they come out a frame late in an AVI."""

_OTHER_CONTAINERS = {
    b"OggS": "Ogg",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "ASF (WMV)",
    b"\x00\x00\x01\xba": "an MPEG program stream",
    b"\x06\x0e\x2b\x34": "MXF",
    b".RMF": "RealMedia",
    b"GIF8": "GIF",
}
"""Containers of videos that `CONTAINERS` leaves out, by their first bytes."""

_HEAD_BYTES = 1 << 16
"""What is looked at of a file that does not open."""

_MOST_BACK_S = 1
"""How far back decode times may go from one packet to the next, s; those of joined recordings go by more."""

_FIRST_PACKETS = 600
"""Packets that are tried until a first frame decodes: a recording may begin that long before a keyframe."""


class Unusable(Rejected):
    """A file, or one clip of it, cannot be used: a reason and a detail for people."""

    reason: Reason

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return Unusable, (self.reason, self.detail)


class Starved(Exception):
    """The machine gave a video too little of the processor, or of its disk. The message says how little."""


@dataclass(frozen=True, slots=True)
class SoundProbe:
    """What listening needs to know of a file. `audio` is the track that is used (the default), None if there is no
    audio.
    """

    path: Path
    zero_s: Fraction
    """The time stamp at which source time begins, seconds."""
    duration_ms: int
    """End of the last frame in source time, from reading the end of the file; of the audio where it is alone."""
    audio: AudioTrack | None


@dataclass(frozen=True, slots=True)
class Probe(SoundProbe):
    """What is known of a video's file."""

    container: str
    bytes_: int
    declared_ms: int
    """Duration that the file's header declares; -1 if it declares none."""
    video: VideoTrack
    n_audio_tracks: int


def open_media(path: Path, limits: MediaLimits) -> Any:
    """Opens a PyAV container. Raises Unusable where it cannot or must not be opened: NOT_A_VIDEO, OVERSIZED,
    UNSUPPORTED_CONTAINER, ENCRYPTED.

    Raises Starved where that takes longer than it may by the clock.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise Unusable(Reason.NOT_A_VIDEO, "not a regular file")
    if facts.st_size > limits.max_bytes:
        raise Unusable(Reason.OVERSIZED, f"{facts.st_size} bytes, the limit is {limits.max_bytes}")
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": CONTAINERS, "max_pixels": str(MAX_PIXELS)}
    began = time.monotonic()
    try:
        container = av.open(str(path), options=options, timeout=OPEN_TIMEOUT_S, **ANY_TAGS)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        if time.monotonic() - began >= OPEN_TIMEOUT_S:
            raise Starved(f"opening it took more than {OPEN_TIMEOUT_S:g} s by the clock") from None
        raise _unopened(path, _short(error)) from None
    for stream in container.streams.video:
        if has_decoder(stream):
            stream.codec_context.thread_count = 1  # a unit uses the single core that it is given
            if container.format.name == "avi" and not stream.codec_context.has_b_frames:
                container.flags &= ~_GENERATE_PTS
    return container


def _unopened(path: Path, error: str) -> Unusable:
    """Why a file does not open, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for magic, name in _OTHER_CONTAINERS.items():
        if head.startswith(magic):
            cure = "ffmpeg may copy its tracks into another: ffmpeg -i FILE -c copy FILE.mkv"
            return Unusable(Reason.UNSUPPORTED_CONTAINER, f"{name}, not one of {CONTAINERS}; {cure}")
    if head[4:8] == b"ftyp" and b"encv" in head:
        return Unusable(Reason.ENCRYPTED, "its header names an encryption")
    return Unusable(Reason.NOT_A_VIDEO, f"does not open as {CONTAINERS}: {error}")


def shown_as_stored(packet: Any) -> None:
    """Gives a packet of an AVI without a presentation time its decode time: it holds no other."""
    if packet.pts is None and packet.stream.container.format.name == "avi":
        packet.pts = packet.dts


def slow_to_read() -> Starved:
    """The error where reading a packet took longer than OPEN_TIMEOUT_S (FFmpeg's ExitError)."""
    return Starved(f"reading a packet of it took more than {OPEN_TIMEOUT_S:g} s by the clock")


def has_decoder(stream: Any) -> bool:
    """Whether this build of FFmpeg decodes a track; without a decoder a track has no codec context at all."""
    return stream.codec_context is not None


def probe(path: Path, limits: MediaLimits | None = None) -> Probe:
    """Probes a file. Raises Unusable where it isn't a video, is oversized, or is too damaged to probe."""
    container, probed = open_and_probe(path, limits or MediaLimits())
    container.close()
    return probed


def probe_sound(path: Path, limits: MediaLimits) -> SoundProbe:
    """Probes a file with audio alone; any other as `probe` does."""
    with _faults_named(), open_media(path, limits) as container:
        track = _default([s for s in container.streams.audio if has_decoder(s)])
        if container.streams.video or track is None:
            return _probe(container, path, limits)
        _refuse_longer(container, limits)
        zero_s = _zero([track])
        end_s = _end_of(container, track)
        if end_s is None:
            raise Unusable(Reason.TRUNCATED, "no audio packets")
        return SoundProbe(path, zero_s, math.ceil((end_s - zero_s) * 1000), audio_track(track, zero_s))


def open_and_probe(path: Path, limits: MediaLimits) -> tuple[Any, Probe]:
    """The open file and its facts; the caller closes the file. Raises as `probe` does."""
    with _faults_named(), ExitStack() as stack:
        container = stack.enter_context(open_media(path, limits))
        probed = _probe(container, path, limits)
        stack.pop_all()
    return container, probed


@contextmanager
def _faults_named() -> Iterator[None]:
    """Raises Unusable, or Starved, for what PyAV raises of a file."""
    try:
        yield
    except av.error.ExitError:
        raise slow_to_read() from None
    except (av.FFmpegError, IndexError, ValueError, ArithmeticError) as error:
        # PyAV passes on wrong numbers of damaged files: indices past its lists, a time base of zero
        raise Unusable(
            Reason.BROKEN_MEDIA, f"its header makes no sense: {type(error).__name__}: {_short(error)}"
        ) from None


def _probe(container: Any, path: Path, limits: MediaLimits) -> Probe:
    stream = _video_stream(container)
    if stream is None and container.streams.video:
        raise Unusable(Reason.UNSUPPORTED_CODEC, "there is no decoder for its video")
    if stream is None:
        raise Unusable(Reason.NOT_A_VIDEO, "no video track")
    _refuse_oversized(container, stream, limits)
    _refuse_timeless(container, stream)
    audio_streams = [s for s in container.streams.audio if has_decoder(s)]
    zero_s = _zero([stream, *audio_streams], wraps=container.format.name == "mpegts")
    audio = _default(audio_streams)
    keyframes = Keyframes(stream)
    end_s = _end_of(container, stream, keyframes)
    if end_s is None:
        raise Unusable(Reason.TRUNCATED, "no video packets")
    untimed = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
    picture = _first_picture(container, stream)
    video = video_track(stream, zero_s, picture, refreshes=keyframes.refresh, untimed=untimed)
    if max(video.width, video.height) > _MOST_SHAPE * video.short_side:
        raise Unusable(Reason.BROKEN_MEDIA, f"a shape of {video.width}x{video.height} with square pixels")
    return Probe(
        path=path,
        container=container.format.name,
        bytes_=path.stat().st_size,
        zero_s=zero_s,
        duration_ms=math.ceil((end_s - zero_s) * 1000),
        declared_ms=_declared_ms(container, stream, end_s, zero_s),
        video=video,
        audio=audio_track(audio, zero_s) if audio is not None else None,
        n_audio_tracks=len(audio_streams),
    )


def time_limit_s(length_s: float) -> float:
    """Seconds of processor time that decoding or converting a file of this length may take: a minute, and as long as it
    lasts. All the work on an hour of film takes some four minutes.
    """
    return 60.0 + length_s


def refuse_unfit(source: Probe, config: CutConfig) -> None:
    """Raises Unusable if the configuration doesn't accept a property of the whole file."""
    video = source.video
    if source.declared_ms >= 0 and _is_too_short(source.duration_ms, source.declared_ms):
        raise Unusable(Reason.TRUNCATED, f"says {source.declared_ms} ms, video ends at {source.duration_ms} ms")
    if not config.is_720p(video.width, video.height):
        raise Unusable(Reason.BELOW_720P, f"{video.width}x{video.height} after rotation")
    if video.interlaced and config.interlaced == "reject":
        raise Unusable(Reason.INTERLACED, "interlaced; cut.interlaced: keep takes it as it is")
    if video.refreshes:
        raise Unusable(
            Reason.UNSUPPORTED_MEDIA, "keyframes are no whole pictures (intra refresh); use cut.convert: true"
        )
    if video.untimed:
        raise Unusable(Reason.UNSUPPORTED_MEDIA, "an AVI with B-frames has no time of each; use cut.convert: true")
    if video.transformed:
        raise Unusable(Reason.UNSUPPORTED_MEDIA, "displayed mirrored or askew; use cut.convert: true")
    if video.hdr and config.hdr == "reject":
        raise Unusable(Reason.HDR, f"{video.hdr}; cut.hdr: keep takes it as it is")
    if source.audio is None and config.require_audio:
        raise Unusable(Reason.NO_AUDIO, "no audio track")


def _video_stream(container: Any) -> Any | None:
    """The default video track (cover art aside), else the largest."""
    streams = [
        s for s in container.streams.video if has_decoder(s) and not s.disposition & av.stream.Disposition.attached_pic
    ]
    return _default(sorted(streams, key=lambda s: -(s.codec_context.width * s.codec_context.height)))


def _default(streams: list[Any]) -> Any | None:
    marked = [s for s in streams if s.disposition & av.stream.Disposition.default]
    return next(iter(marked or streams), None)


def _refuse_oversized(container: Any, stream: Any, limits: MediaLimits) -> None:
    context = stream.codec_context
    if context.width * context.height > MAX_PIXELS:
        raise Unusable(Reason.OVERSIZED, f"{context.width}x{context.height}, the limit is {MAX_PIXELS} pixels")
    if context.width <= 0 or context.height <= 0:
        raise Unusable(Reason.BROKEN_MEDIA, "gives no frame size")
    _refuse_longer(container, limits)


def _refuse_timeless(container: Any, stream: Any) -> None:
    """FFmpeg gives the pictures that a Matroska file shows before its time zero no time, and no seek finds them."""
    if not container.format.name.startswith("matroska"):
        return
    first = next((packet for packet in container.demux(stream) if packet.size), None)
    if first is not None and first.pts is None:
        cure = "ffmpeg encodes it with times: ffmpeg -i FILE NEW.mkv"
        raise Unusable(Reason.UNSUPPORTED_MEDIA, f"its first pictures have no time; {cure}")


def _refuse_longer(container: Any, limits: MediaLimits) -> None:
    duration_s = (_length_us(container) or 0) / av.time_base
    if duration_s > limits.max_duration_s:
        raise Unusable(Reason.OVERSIZED, f"{duration_s:.0f} s, the limit is {limits.max_duration_s:.0f} s")


def _zero(streams: list[Any], *, wraps: bool = False) -> Fraction:
    """Time stamp of source time 0. `wraps`: the clock may, and the minute before that is negative."""
    starts = [s.start_time * s.time_base for s in streams if s.start_time is not None]
    earliest = min(starts, default=Fraction(0))
    return earliest if wraps else max(Fraction(0), earliest)


def _start_us(container: Any) -> int:
    return int(container.start_time or 0)


def _first_us(container: Any) -> int:
    """Where a seek finds the first packet: a Matroska file without an index has nothing before its start, and an edit
    list may hide what an mp4 has before 0.
    """
    if container.format.name.startswith("matroska"):
        return _start_us(container)
    return -60 * av.time_base if container.format.name.startswith("mov") else 0


def _length_us(container: Any) -> int | None:
    """What the header declares as the length of the longest track, microseconds; None if nothing.

    Where the clock of a Matroska file begins later than 0 (recorders, live streams), FFmpeg's muxer declares the time
    of the end instead.
    """
    length, start = container.duration, max(0, _start_us(container))
    is_end = container.format.name.startswith("matroska") and length is not None and length > start
    return None if length is None else int(length - start if is_end else length)


def _declared_ms(container: Any, stream: Any, end_s: Fraction, zero_s: Fraction) -> int:
    """What the header declares for the pictures, ms; -1 if nothing.

    Matroska and FLV declare the length of the longest track alone. Pictures that end before that are cut off, unless
    another track goes on to that length: then nothing is declared for the pictures.
    """
    if stream.duration is not None:
        seconds: Fraction = stream.duration * stream.time_base
        return math.ceil(seconds * 1000)
    length_us = _length_us(container)
    declared_ms = -1 if length_us is None else length_us // 1000
    if not _is_too_short(math.ceil((end_s - zero_s) * 1000), declared_ms):
        return declared_ms
    ends_s = (_end_of(container, track) for track in container.streams.audio)
    is_whole = any(not _is_too_short(math.ceil((other - zero_s) * 1000), declared_ms) for other in ends_s if other)
    return -1 if is_whole else declared_ms


def _is_too_short(ends_ms: int, declared_ms: int) -> bool:
    """Whether what ends at `ends_ms` is cut off, if its file declares `declared_ms`."""
    return declared_ms - ends_ms > max(2000, declared_ms // 50)


def _end_of(container: Any, stream: Any, keyframes: Keyframes | None = None) -> Fraction | None:
    """Time stamp (s) at which a track's last packet ends: from those near the file's end, or from all of them.

    All of them in a transport stream: it has no index, and may be several that were joined.
    """
    known = _length_us(container)
    if known is not None and known > 20 * av.time_base and container.format.name != "mpegts":
        end = _last_end(container, stream, _start_us(container) + known - 10 * av.time_base, keyframes)
        if end is not None:
            return end
    return _last_end(container, stream, None, keyframes)


def _last_end(container: Any, stream: Any, from_us: int | None, keyframes: Keyframes | None) -> Fraction | None:
    last: int | None = None
    decoded = -math.inf
    try:
        container.seek(_first_us(container) if from_us is None else from_us, backward=True)
        for packet in container.demux(stream):
            if packet.pts is None and packet.size:
                shown_as_stored(packet)
            if packet.has_sidedata("encryption_info"):
                raise Unusable(Reason.ENCRYPTED, f"its packet at {_at(packet)} is encrypted")
            if packet.dts is not None and packet.size:
                if (decoded - packet.dts) * stream.time_base > _MOST_BACK_S:
                    joined = "several recordings joined? ffmpeg makes one of them: ffmpeg -i FILE -c copy FILE.mkv"
                    raise Unusable(Reason.UNSUPPORTED_MEDIA, f"its clock jumps back to {_at(packet)}; {joined}")
                decoded = packet.dts
            if packet.pts is not None and packet.size and not packet.is_discard:
                last = max(packet.pts + (packet.duration or 0), last if last is not None else packet.pts)
                if keyframes is not None:
                    keyframes.see(packet)
    except av.error.ExitError:
        raise slow_to_read() from None
    except av.FFmpegError as error:
        if last is None and from_us is None:
            raise Unusable(Reason.BROKEN_MEDIA, f"its packets cannot be read: {_short(error)}") from None
    return None if last is None else last * stream.time_base


def _at(packet: Any) -> str:
    tick = packet.pts if packet.pts is not None else packet.dts or 0
    return f"{float(tick * packet.time_base):.1f} s"


def _first_picture(container: Any, stream: Any) -> Any:
    """The first frame that decodes: it has the display matrix, and decoding it reveals the true pixel format.

    Raises Unusable if none does: clips may be copied without decoding more.
    """
    container.seek(_first_us(container), backward=True)
    for packet in islice(container.demux(stream), _FIRST_PACKETS):
        try:
            for frame in packet.decode():
                return frame
        except av.FFmpegError:
            continue
    raise Unusable(Reason.DECODE_ERRORS, f"none of its first {_FIRST_PACKETS} pictures decodes")


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
