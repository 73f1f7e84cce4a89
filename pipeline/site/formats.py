"""Which renditions of a video to fetch, and which never: 720p or nothing.

yt-dlp's format strings silently fall back to 360p, and `height=720` misses portrait and 1280x718 renditions. So the
choice is made here, from the list of formats, and yt-dlp is then asked for exactly these ids without a fallback.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.reasons import Reason
from pipeline.config.crawl import MediaFormatConfig
from pipeline.config.media import CutConfig
from pipeline.site.failures import Failure, classify
from pipeline.site.tracks import speaks
from pipeline.site.ytdlp import Session
from pipeline.text.captions.track import primary

MAX_FPS = 60.0
"""Of the renditions to take: the site has none faster at 720p."""
NOT_AVAILABLE = "Requested format is not available"
"""yt-dlp's message if no format matches."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A yt-dlp format string (`136+140`) and what it will give; or the reason why there is none.

    yt-dlp renames formats whose ids are not unique (dubs): give it an info that contains only `formats`.
    """

    format: str = ""
    formats: tuple[Mapping[str, Any], ...] = ()
    width: int = 0
    height: int = 0
    codec: str = ""
    bytes_: int = 0
    reason: Reason | None = None
    detail: str = ""

    @property
    def sound(self) -> "Choice":
        """The audio alone, where it is apart; otherwise all of it."""
        apart = self.formats[1:]
        name, bytes_ = self.audio
        return replace(self, format=name, formats=apart, bytes_=max(0, bytes_)) if apart else self

    @property
    def audio(self) -> tuple[str, int]:
        """yt-dlp's id of the audio and its bytes, -1 if the site does not say; ("", -1) if the video's file has it."""
        apart = self.formats[1:]
        return (str(apart[0]["format_id"]), int(apart[0].get("filesize") or -1)) if apart else ("", -1)


def choose_format(
    formats: Sequence[Mapping[str, Any]], config: MediaFormatConfig, cut: CutConfig, language: str = ""
) -> Choice:
    """The 720p rendition with its audio: the smallest that is at least 720p, best codec first, original language.

    `language`: that of the video's text ("" if unknown). Where the site tells languages apart, no other is taken.
    """
    videos = [f for f in formats if _has_video(f)]
    if not videos:
        return Choice(reason=Reason.FORMATS_HIDDEN, detail="no rendition with video was on offer")
    big = [f for f in videos if cut.is_720p(_side(f, "width"), _side(f, "height"))]
    if not big:
        return Choice(reason=Reason.NO_720P, detail=f"the largest rendition is {_size(max(videos, key=_short))}")
    if all(f.get("has_drm") for f in big):
        return Choice(reason=Reason.DRM, detail="every 720p rendition is protected")
    usable = [f for f in big if _usable(f, config)]
    if not usable and any(_usable({**f, "protocol": "https"}, config) for f in big):
        return Choice(reason=Reason.FORMATS_HIDDEN, detail=f"720p only as {_codecs(big)}")
    if not usable:
        return Choice(reason=Reason.UNSUPPORTED_CODEC, detail=f"720p only as {_codecs(big)}")
    if cut.min_short_side == 0:
        usable = _tall_enough(usable, cut.least_side)
    video = min(
        usable,
        key=lambda f: (_short(f), _rank(f, config), _has_audio(f), -(f.get("tbr") or 0), str(f["format_id"])),
    )
    if _has_audio(video):
        return _choice(video)
    audios = [f for f in formats if _has_audio(f) and not _has_video(f) and _can_be_had(f)]
    if not audios:
        return Choice(reason=Reason.NO_AUDIO_FORMAT, detail=f"{_size(video)} has no matching audio")
    if not (audios := _in_language(audios, language)):
        return Choice(reason=Reason.FORMATS_HIDDEN, detail=f"no audio in {language} was on offer")
    return _choice(video, max(audios, key=_audio_rank))


def judge_formats(
    info: Mapping[str, Any], session: Session, config: MediaFormatConfig, cut: CutConfig, language: str = ""
) -> Choice | Failure:
    """The rendition to fetch of an extracted video, or why there is none.

    "No 720p" is a verdict only if the watch page's own list names no larger size either: an address that the site
    distrusts gets the combined 360p file of a 720p video. If the page lists nothing, warnings of withheld formats
    decide.
    """
    choice = choose_format(info["formats"], config, cut, language)
    if choice.reason is None:
        return choice
    if choice.reason is Reason.NO_720P and session.listed_sizes:
        largest, offered = max(session.listed_sizes), max(_label(f) for f in info["formats"] if _has_video(f))
        if largest <= max(offered, cut.least_side):
            return Failure(choice.reason, choice.detail)
        detail = f"the page lists {largest}p, {choice.detail}"
        return Failure(Reason.FORMATS_HIDDEN, detail, look_again=True)
    withheld = classify(session.evidence(text=NOT_AVAILABLE))
    if withheld.detail != NOT_AVAILABLE:
        return withheld
    if choice.reason is Reason.FORMATS_HIDDEN:
        return replace(withheld, detail=choice.detail)
    return Failure(choice.reason, choice.detail)


def _label(f: Mapping[str, Any]) -> int:
    """The size that the site labels a rendition with (it calls 1280x544 720p), or its short side if that is larger."""
    named = re.match(r"(\d{2,5})p", str(f.get("format_note") or ""))
    return max(_short(f), int(named[1])) if named else _short(f)


def _tall_enough(formats: Sequence[Mapping[str, Any]], least_px: int) -> list[Mapping[str, Any]]:
    """Formats whose short side is at least this many pixels; if there are none, the tallest."""
    least_px = min(least_px, max(_short(f) for f in formats))
    return [f for f in formats if _short(f) >= least_px]


def short_sides(formats: Sequence[Mapping[str, Any]]) -> list[int]:
    """The short sides on offer, ascending, without duplicates."""
    return sorted({_short(f) for f in formats if _has_video(f)})


def original_language(formats: Sequence[Mapping[str, Any]]) -> str:
    """The language of the original audio; "" if the site does not say. Dubs have a lower preference."""
    audios = [f for f in formats if _has_audio(f) and f.get("language")]
    return str(max(audios, key=_preference)["language"]) if audios else ""


def marked_language(formats: Sequence[Mapping[str, Any]]) -> str:
    """The language of the audio that the site itself marks as the original (or as the default); "" if none is.

    An audio without a mark is of the language of the first speech recognition, which yt-dlp assumes.
    """
    return original_language([f for f in formats if _preference(f) > 0])


def _in_language(audios: list[Mapping[str, Any]], language: str) -> list[Mapping[str, Any]]:
    """Those in a language; all of them if it is not known, or if the site does not tell the languages apart."""
    spoken = {f.get("language") for f in audios} - {None}
    if not language or (len(spoken) < 2 and not marked_language(audios)):
        return audios
    return [f for f in audios if speaks(str(f.get("language") or ""), primary(language))]


def _preference(f: Mapping[str, Any]) -> float:
    return float(f.get("language_preference") or -1)


def _has_video(f: Mapping[str, Any]) -> bool:
    return f.get("vcodec") not in (None, "none") and bool(f.get("height"))


def _has_audio(f: Mapping[str, Any]) -> bool:
    return f.get("acodec") not in (None, "none")


def _side(f: Mapping[str, Any], name: str) -> int:
    """Of a rendition with video: that has a height at least."""
    return int(f.get(name) or f["height"])


def _short(f: Mapping[str, Any]) -> int:
    return min(_side(f, "width"), _side(f, "height"))


def _size(f: Mapping[str, Any]) -> str:
    return f"{_side(f, 'width')}x{_side(f, 'height')}"


def _can_be_had(f: Mapping[str, Any]) -> bool:
    """Whether it is a file. Playlists of segments (HLS) are none: their clocks begin anywhere."""
    return f.get("protocol") in (None, "http", "https") and not f.get("has_drm")


def _usable(f: Mapping[str, Any], config: MediaFormatConfig) -> bool:
    standard = f.get("dynamic_range") in (None, "SDR")
    return _can_be_had(f) and standard and _rank(f, config) < len(config.codecs) and (f.get("fps") or 0) <= MAX_FPS


def _rank(f: Mapping[str, Any], config: MediaFormatConfig) -> int:
    codec = str(f.get("vcodec"))
    return next((i for i, wanted in enumerate(config.codecs) if codec.startswith(wanted)), len(config.codecs))


def _codecs(formats: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({f"{f.get('vcodec')} {f.get('protocol') or ''}".strip() for f in formats}))


def _audio_rank(f: Mapping[str, Any]) -> tuple[float, bool, float, str]:
    aac = str(f.get("acodec")).startswith("mp4a")
    return _preference(f), aac, float(f.get("abr") or f.get("tbr") or 0), str(f["format_id"])


def _choice(*formats: Mapping[str, Any]) -> Choice:
    """The choice of a video format, plus an audio format if the video format has no audio."""
    video = formats[0]
    return Choice(
        format="+".join(str(f["format_id"]) for f in formats),
        formats=formats,
        width=_side(video, "width"),
        height=_side(video, "height"),
        codec=str(video.get("vcodec")),
        bytes_=sum(int(f.get("filesize") or 0) for f in formats),
    )
