"""Settings of the media side: what a fetched file may be, how clips are cut, what is made and checked of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from manifests.settings import Section, identity, operational

LEAST_SHORT_SIDE_720P = 704
"""720p material is often coded with a few rows less."""


class MediaLimits(Section):
    """What a media file may be at most: input from the net is hostile."""

    stage: ClassVar[str] = "media"

    max_pixels: int = identity(
        8_847_360, doc="largest picture, pixels (the default is 4096 x 2160); larger is a reject", ge=1
    )
    max_bytes: int = identity(8 * 1024**3, doc="largest media file, bytes; larger is a reject", ge=1)
    max_duration_s: float = identity(6 * 3600.0, doc="longest media file, seconds; longer is a reject", gt=0)
    open_timeout_s: float = operational(60.0, doc="time to open a file and to read one packet, seconds", gt=0)
    max_seconds_per_hour: float = operational(
        3600.0, doc="time limit of the work on one video, seconds an hour of it (60 s are added)", gt=0
    )


class CutConfig(Section):
    """How clips are cut out of a video."""

    stage: ClassVar[str] = "media"

    mode: Literal["remux", "exact", "keyframe"] = identity(
        "remux",
        doc="remux: packets from the keyframe before, first_frame and offset_ms recorded, no re-encode; "
        "exact: re-encoded, starts and ends at the sentence; keyframe: starts at the keyframe before, recorded so",
    )
    max_overrun_ms: int = identity(
        500, doc="a span that ends after the video does by at most this much is trimmed, ms; more is a reject", ge=0
    )
    max_preroll_ms: int = identity(
        60_000, doc="remux and keyframe: longest way back to a keyframe, ms; more is a reject", ge=0
    )
    audio_preroll_ms: int = identity(
        100, doc="sound kept before the clip so that decoders have settled when it starts, ms", ge=0
    )
    hdr: Literal["reject", "keep"] = identity(
        "reject", doc="HDR sources: keep copies them; nothing here maps their tones, so pictures made of them look flat"
    )
    interlaced: Literal["reject", "keep"] = identity(
        "reject", doc="interlaced sources; keep copies their fields as they are"
    )
    convert: bool = identity(
        False, doc="interlaced and HDR sources, and codecs that no clip can carry, are made into H.264 first (ffmpeg)"
    )
    require_audio: bool = identity(False, doc="a video without sound is a reject")
    accept_wide: bool = identity(
        True,
        doc="720p is also a picture wider than 16:9 whose long side is at least 1280 pixels, offered or fetched",
    )
    min_short_side: int = identity(
        LEAST_SHORT_SIDE_720P, doc="720p: least short side after rotation, pixels; 0 takes any", ge=0
    )
    exact_preset: str = identity("superfast", doc="exact: preset of x264")
    exact_crf: int = identity(23, doc="exact: constant rate factor of x264", ge=0, le=51)
    exact_gop: int = identity(30, doc="exact: frames between keyframes at most", ge=1)
    audio_bitrate: int = identity(128_000, doc="where sound is encoded: AAC bits a second", ge=16_000)
    encoder_threads: int = identity(1, doc="threads of each encoder; another count gives other bytes", ge=1)

    @property
    def least_side(self) -> int:
        """Short side that a rendition is chosen for, pixels: where any size is taken, that of 720p is preferred."""
        return self.min_short_side or LEAST_SHORT_SIDE_720P

    def is_720p(self, width: int, height: int) -> bool:
        """Whether a displayed picture counts as 720p, by its short side or (accept_wide) its long one."""
        short, long = min(width, height), max(width, height)
        if short >= self.min_short_side:
            return True
        least_long = 1280 * self.min_short_side // LEAST_SHORT_SIDE_720P
        return self.accept_wide and long >= least_long and long * 9 > short * 16


class ScenesConfig(Section):
    """Where one shot ends and the next begins, and what that does to a clip."""

    stage: ClassVar[str] = "media"

    enabled: bool = identity(True, doc="look for scene cuts (PySceneDetect's ContentDetector on a small picture)")
    threshold: float = identity(27.0, doc="change of picture that is a cut, ContentDetector's scale", gt=0)
    min_scene_ms: int = identity(500, doc="shortest scene, ms", ge=0)
    short_side: int = identity(144, doc="short side of the picture that is looked at, pixels", ge=36)
    action: Literal["flag", "drop", "snap", "split"] = identity(
        "flag",
        doc="a clip that crosses a cut is: flagged only; dropped; snapped (an end near a cut moves to it); "
        "split at its cuts",
    )
    snap_ms: int = identity(500, doc="snap: farthest that an end of a clip moves, ms", ge=0)
    min_part_ms: int = identity(1000, doc="split: parts shorter than this are dropped, ms", ge=1)


class MembersConfig(Section):
    """What is prepared for training beside the clip itself."""

    stage: ClassVar[str] = "media"

    proxy: bool = identity(True, doc="make KEY.m4v, the low-resolution copy of exactly the clip's frames")
    proxy_short_side: int = identity(
        180, doc="short side of the proxy, pixels; 180 is a quarter of 720", ge=32, multiple_of=2
    )
    proxy_gop: int = identity(8, doc="frames between the proxy's keyframes", ge=1)
    proxy_crf: int = identity(26, doc="constant rate factor of the proxy (x264)", ge=0, le=51)
    proxy_preset: str = identity("veryfast", doc="preset of the proxy's encoder (x264)")
    stills: bool = identity(True, doc="make KEY.mjpg, JPEG stills at short side 720")
    still_every_s: float = identity(2.0, doc="one still every so many seconds of a clip", gt=0)
    min_stills: int = identity(4, doc="least number of stills a clip (as far as it has frames)", ge=1)
    still_short_side: int = identity(720, doc="short side of the stills, pixels", ge=32, multiple_of=2)
    still_quality: int = identity(90, doc="JPEG quality of the stills, 1 to 100", ge=1, le=100)


class ChecksConfig(Section):
    """What is verified of a clip's pictures and sound. Each check flags a clip, rejects it or is ignored."""

    stage: ClassVar[str] = "media"

    decode_errors: Literal["ignore", "flag", "reject"] = identity(
        "reject", doc="the decoder reports errors inside the clip"
    )
    picture_area: Literal["ignore", "flag", "reject"] = identity(
        "reject", doc="what is left after cropping black bars is no longer 720p"
    )
    bars: Literal["ignore", "flag", "reject"] = identity(
        "flag", doc="black bars take a tenth of the frame or more, around a picture that is still 720p (4:3, wide)"
    )
    still_picture: Literal["ignore", "flag", "reject"] = identity(
        "flag", doc="nothing moves: a still picture or a slide show"
    )
    still_motion: float = identity(
        0.6, doc="mean change of brightness in half a second below which the picture stands still, of 255", ge=0
    )
    silence: Literal["ignore", "flag", "reject"] = identity("flag", doc="there is no sound, or only silence")
    silence_dbfs: float = identity(-60.0, doc="loudness of the loudest 100 ms below which a clip is silent, dBFS", le=0)
    coverage: Literal["ignore", "flag", "reject"] = identity("flag", doc="pictures are missing in a part of the clip")
    max_gap_ms: int = identity(1000, doc="longest time without a new picture, ms", ge=1)


class DuplicatesConfig(Section):
    """Which clips and videos show the same pictures as others."""

    stage: ClassVar[str] = "balance"

    enabled: bool = identity(True, doc="find near-duplicate clips and videos, and stock intros, by perceptual hashes")
    max_distance: int = identity(10, doc="differing bits of 64 up to which two frames show the same", ge=0, le=20)
    min_share: float = identity(
        0.3, doc="share of a clip's distinct pictures that another must show too to be its duplicate", gt=0, le=1
    )
    min_frames: int = identity(
        3, doc="clips and videos with fewer distinct pictures are never compared: they can't be told apart", ge=1
    )
    video_share: float = identity(
        0.3, doc="share of a video's distinct pictures that another must show too to be its duplicate", gt=0, le=1
    )
    intro_videos: int = identity(3, doc="videos of one channel with the same clip that make it a stock intro", ge=2)
    action: Literal["drop", "flag"] = identity("drop", doc="duplicates and stock intros are left out, or only counted")


class MediaConfig(Section):
    """Everything of the media stage, and of the `cut` command."""

    limits: MediaLimits = MediaLimits()
    cut: CutConfig = CutConfig()
    scenes: ScenesConfig = ScenesConfig()
    members: MembersConfig = MembersConfig()
    checks: ChecksConfig = ChecksConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
