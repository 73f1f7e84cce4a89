"""Converts sources that cannot be cut as they are: interlaced, HDR, or with a codec that mp4 clips cannot carry.

Off by default (`cut.convert`): such a source is a reject with its reason. When on, the ffmpeg program first makes a
progressive 8-bit H.264 copy of the whole file, frame by frame, with the times kept; the clips are cut out of the copy
and carry a flag that says so.
"""

from pathlib import Path
from typing import Any

from pipeline.media.cutting.audio import COPIED
from pipeline.media.cutting.exact import ENCODER_THREADS, EXACT_PRESET
from pipeline.media.cutting.remux import CARRIED, is_h264_444
from pipeline.media.cutting.span import tick_at
from pipeline.media.ffmpeg import input_options, run_ffmpeg
from pipeline.media.probe import Probe, time_limit_s

CONVERTED = "converted"
"""Flag of a clip whose source was converted first."""

_TO_SDR = (
    ("zscale", {"t": "linear", "npl": 100}),
    ("format", {"pix_fmts": "gbrpf32le"}),
    ("zscale", {"p": "bt709"}),
    ("tonemap", {"tonemap": "hable", "desat": 0}),
    ("zscale", {"t": "bt709", "m": "bt709", "r": "tv"}),
)
"""Filters from PQ or HLG to BT.709 by way of linear light; `hable` keeps highlights without hard edges."""


def needs_conversion(source: Probe, mode: str = "remux") -> bool:
    """Whether a source is of a kind that this mode of cutting rejects."""
    video = source.video
    if mode == "exact" and video.bit_depth > 8:
        return True  # encoded clips have 8 bits
    unfit = video.interlaced or video.transformed or video.refreshes or video.untimed
    return unfit or bool(video.hdr) or video.codec not in CARRIED or is_h264_444(video)


def convert(source: Probe, target: Path) -> Path:
    """Writes the copy at `target` (.mp4). File time 0 is the source's time zero. Raises Unusable where ffmpeg fails."""
    import ffmpeg

    read = ffmpeg.input(str(source.path), **input_options())
    zero = tick_at(0, source, source.video.time_base)  # what is shown before would move all that follows
    pictures = read[str(source.video.index)].filter("trim", start_pts=zero)
    if source.video.interlaced:
        pictures = pictures.filter("bwdif", mode="send_frame")
    if source.video.hdr:
        for name, settings in _TO_SDR:
            pictures = pictures.filter(name, **settings)
    tracks: list[Any] = [pictures.filter("format", pix_fmts="yuv420p")]
    options: dict[str, Any] = {
        "c:v": "libx264",
        "preset": EXACT_PRESET,
        "crf": 17,
        "g": 48,
        "threads": ENCODER_THREADS,
        "fps_mode": "passthrough",
        "enc_time_base": "demux",
        "copyts": None,
        "output_ts_offset": f"{-float(source.zero_s):.6f}",
        "fflags": "+bitexact",
        "flags": "+bitexact",
    }
    if source.audio is not None:
        tracks.append(read[str(source.audio.index)])
        options["c:a"] = "copy" if source.audio.codec in COPIED else "aac"
    graph = ffmpeg.output(*tracks, str(target), **options)
    run_ffmpeg(graph, time_limit_s=time_limit_s(source.duration_ms / 1000))
    return target
