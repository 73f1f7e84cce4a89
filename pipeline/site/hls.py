"""Films that the site offers at 720p only as HLS, a playlist of segments, which yt-dlp joins by itself.

What comes is MPEG-TS or fragmented mp4, pictures and sound together or apart, on a clock that begins anywhere. It is
put into one mp4 whose time 0 is the first picture, as in the site's files: sound before it is the encoder's lead-in.
Packets stay as they are.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from yt_dlp.downloader.hls import HlsFD
from yt_dlp.networking.common import Request

from manifests.reasons import Reason
from pipeline.config.media import MediaLimits
from pipeline.media.probe import Unusable, open_media
from pipeline.site.failures import Failure
from pipeline.site.ytdlp import Info, RecordingYoutubeDL

OPTIONS = {"skip_unavailable_fragments": False, "hls_prefer_native": True}
"""yt-dlp's: a film with a hole is no film."""


def with_playlist(site: RecordingYoutubeDL, rendition: Mapping[str, Any]) -> Info | Failure:
    """A rendition with its playlist, so that yt-dlp asks for the segments alone; or why it cannot be had.

    What yt-dlp cannot join by itself it would leave to ffmpeg, which asks on its own for what the playlist names.
    """
    with site.urlopen(Request(rendition["url"], headers=rendition.get("http_headers") or {})) as response:
        text = response.read().decode("utf-8", "replace")
    if not text.startswith("#EXTM3U"):
        return Failure(Reason.BAD_ANSWER, "something else in place of an HLS playlist")
    if "#EXT-X-KEY:METHOD=AES" in text or not HlsFD.can_download(text, {}):
        return Failure(Reason.FORMATS_HIDDEN, "720p only as encrypted HLS")
    known = {name: value for name, value in rendition.items() if name != "__needs_testing"}  # it would be fetched twice
    return {**known, "hls_media_playlist_data": text}


def join(files: Sequence[Path], whole: Path, limits: MediaLimits) -> None:
    """Puts the pictures and the sound of these files into one mp4. Raises Unusable, Starved and PyAV's errors."""
    zero_s = _first_picture_s(files, limits)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_media(file, limits)) for file in files]
        made = stack.enter_context(av.open(str(whole), "w", format="mp4"))
        new = {}
        for track in (track for source in opened for track in _tracks(source)):
            new[track.container.name, track.index] = made.add_stream_from_template(track, opaque=True)
        packets = (_packets(source, zero_s) for source in opened)
        for packet in heapq.merge(*packets, key=lambda packet: packet.dts * packet.time_base):
            packet.stream = new[packet.stream.container.name, packet.stream.index]
            made.mux(packet)


def _tracks(source: Any) -> list[Any]:
    return [*source.streams.video[:1], *source.streams.audio[:1]]


def _first_picture_s(files: Sequence[Path], limits: MediaLimits) -> Fraction:
    """When the first picture is shown, on the clock that the files share."""
    for file in files:
        with open_media(file, limits) as source:
            for packet in source.demux(source.streams.video[:1]) if source.streams.video else ():
                if packet.pts is not None:
                    return Fraction(packet.pts * packet.time_base)
    raise Unusable(Reason.NOT_A_VIDEO, "no video track")


def _packets(source: Any, zero_s: Fraction) -> Iterator[Any]:
    """The packets of a file in decode order, on a clock that begins at `zero_s`, without sound before that."""
    for packet in source.demux(_tracks(source)):
        if packet.dts is None or packet.pts is None:
            continue
        shift = round(zero_s / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.stream.type == "video" or packet.pts >= 0:
            yield packet
