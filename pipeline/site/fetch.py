"""Fetches the 720p video and audio of a video as one file in the unit's scratch folder, or says why it can't.

In:  a row of `videos`     Out: a path

Media addresses expire and are bound to the requesting identity. While those that the look at the video found last, they
are fetched as the identity that looked; later the video is extracted again here, and one identity does everything from
that extraction to the last byte. pipeline.site.formats chooses the rendition, and yt-dlp is asked for its ids without a
fallback. The file is accepted only if both streams last as long as the site says the video does. A video that was
edited since it was looked at is rejected for now: its text has the times of another film.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import av
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.utils import YoutubeDLError

from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig
from pipeline.config.media import CutConfig, MediaConfig, MediaLimits
from pipeline.engine.work.unit import Context, Rejected, StopRun, Transient
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import CONTAINERS, Starved, Unusable, open_media
from pipeline.site.asking import Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.canary import UNBELIEVED
from pipeline.site.failures import DeadlinePassed, Failure, classify
from pipeline.site.formats import Choice, judge_formats
from pipeline.site.fresh_looks import FreshLook
from pipeline.site.kept_sessions import site_for
from pipeline.site.politeness import Polite
from pipeline.site.transfers import SLOWEST_BYTES_PER_S, VIDEO_TRIES
from pipeline.site.ytdlp import Info, RecordingYoutubeDL, Session, extract_video, upload_date_of

LONGEST_WAIT_HERE_S = 600.0
"""A unit that would wait longer than this for paused identities is returned to the engine, freeing its worker."""

MERGE_INPUT = ("-protocol_whitelist", "file", "-format_whitelist", CONTAINERS)
"""How ffmpeg opens each of the two files that it merges: as the formats that they claim to be. A list of other files
(ffconcat, a playlist) does not open that way, so the merge opens only the files it was given.
"""

SPARE_S = 10.0
"""A download must end this long before its unit's time limit."""

SPARE_BYTES = 256 * 1024**2
SPEED_WINDOW_S = 60.0
ALLOWED_CHANGE_S = 1.0
"""Of the length that the site names, between look and fetch."""
ALLOWED_SHORT_S, ALLOWED_SHORT_SHARE = 2.0, 0.02
"""How much shorter than the site's (rounded) duration a stream may be."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches a video: `fetcher(video_row, context) -> Path`. Picklable; one object for all units."""

    config: CrawlConfig
    polite: Polite
    media: MediaConfig = field(default_factory=MediaConfig)
    sound_only: bool = False
    """Whether the audio is enough, where the site has it apart: then what was found of the media is kept for later."""

    def __call__(self, video: Mapping[str, Any], context: Context) -> Path:
        """Returns the media file. Raises Rejected (a verdict, or deferred), Transient (all identities paused) and
        StopRun.
        """
        if video["media_path"]:
            return Path(video["media_path"])
        return _Fetch(self.config, self.polite, self.media, video, context, self.sound_only).run()


@dataclass(slots=True)
class _Fetch:
    config: CrawlConfig
    polite: Polite
    media: MediaConfig
    video: Mapping[str, Any]
    context: Context
    sound_only: bool = False
    staged: tuple[str, int] = ("", 0)  # format and bytes of the files in the staging folder

    @property
    def staging(self) -> Path:
        return self.context.scratch / "fetch"

    def run(self) -> Path:
        """Tries again if that may help: with a new extraction, another identity, an empty staging folder."""
        asking = Asking(self.config, self.polite, prefer=self.video["egress"])
        rules = Rules(
            limit_s=self.config.fetch_time_limit_s,
            tries=VIDEO_TRIES,
            patience_s=min(LONGEST_WAIT_HERE_S, self.config.politeness.patience_s),
            heals=HEALING,
            about="media",
        )
        if (path := self._of_the_look(asking, rules)) is not None:
            return path
        try:
            result = asking.ask(self.video["video_id"], self._attempt, rules)
        except NobodyMayAsk as all_paused:
            raise Transient(Reason.RATE_LIMITED, str(all_paused), wait_s=all_paused.paused_s) from None
        if isinstance(result, Failure):
            wait_s, detail = self.config.politeness.later_s, asking.safe(result.detail)
            if asking.unbelieved(rules):
                raise Rejected(Reason.UNKNOWN_ANSWER, f"{UNBELIEVED}: {detail}", retry_after_s=wait_s)
            raise Rejected(result.reason, detail, retry_after_s=wait_s)
        return result

    def _of_the_look(self, asking: Asking, rules: Rules) -> Path | None:
        """The file at the addresses that the look at the video found; None if they are not there or do not serve."""
        video_id = self.video["video_id"]
        look = self.polite.fresh_look(video_id)
        if look is None or not look.is_from_here or change_of(look.info, self.video):
            return None
        return asking.go_on(video_id, partial(self._attempt, look=look), rules, look.identity)

    def _attempt(self, turn: Turn, look: FreshLook | None = None) -> Path | Failure:
        """An extraction, unless there was a look, and a download as one identity. Deletes what a later attempt must not
        find.
        """
        until_the_units_end_s = max(1.0, self.context.remaining_s() - SPARE_S)
        turn.session.deadline = min(turn.session.deadline, time.monotonic() + until_the_units_end_s)
        try:
            site = site_for(self.config, turn.identity, look.clients if look else turn.clients, turn.session)
            info = dict(look.info) if look else extract_video(site, self.video["video_id"])
            choice = look.choice if look else self._choose(info, turn.session)
            if isinstance(choice, Failure):
                return choice
            if self.sound_only:
                self.polite.keep_look(info["id"], look or FreshLook.of(info, choice, turn.identity, turn.clients))
                choice = choice.sound
            return self._refuse_size(choice.bytes_) or self._download(site, info, choice, must_match=bool(look))
        except (YoutubeDLError, RequestError) as error:
            failure = classify(turn.session.evidence(error))
            if failure.reason is Reason.BROKEN_MEDIA or any(seen.status == 416 for seen in turn.session.requests):
                self._wipe()
            return failure

    def _download_options(self) -> dict[str, Any]:
        return {
            "outtmpl": {"default": str(self.staging / "%(id)s.%(format_id)s.%(ext)s")},
            "merge_output_format": "mp4",
            "continuedl": True,
            "fixup": "never",
            "writesubtitles": False,
            "ffmpeg_location": find_ffmpeg(),
            "postprocessor_args": {"merger+ffmpeg_i": list(MERGE_INPUT)},
        }

    def _choose(self, info: Info, session: Session) -> Choice | Failure:
        if info.get("_type") in ("url", "url_transparent"):
            return Failure(Reason.PAYMENT_REQUIRED, "only a trailer is shown")
        if str(info.get("live_status")) in ("is_live", "post_live"):
            return Failure(Reason.UPCOMING if self.config.limits.allow_live else Reason.LIVE, str(info["live_status"]))
        if not info.get("formats"):
            return classify(session.evidence(text="No video formats found!"))
        if change := change_of(info, self.video):
            return Failure(Reason.CHANGED, change, at_once=False)
        return judge_formats(info, session, self.config.media, self.media.cut, self.video["language"])

    def _refuse_size(self, bytes_: int) -> Failure | None:
        """Why the streams are too large, None if they aren't. Raises StopRun unless the disk can hold them and the
        merged file at the same time.
        """
        if bytes_ > self.media.limits.max_bytes:
            return Failure(Reason.OVERSIZED, f"{bytes_} bytes, the limit is {self.media.limits.max_bytes}")
        self.staging.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.staging).free
        if free < 2 * bytes_ + SPARE_BYTES:
            where = self.context.scratch.parent
            raise StopRun(
                Reason.NO_DISK, f"{free >> 20} MiB free under {where}, {(2 * bytes_ + SPARE_BYTES) >> 20} needed"
            )
        return None

    def _download(
        self, site: RecordingYoutubeDL, info: Info, choice: Choice, *, must_match: bool = False
    ) -> Path | Failure:
        """`must_match`: what comes must have the bytes that the site named, as what was replaced meanwhile has not."""
        if self.staged != (choice.format, choice.bytes_):  # yt-dlp would blindly continue another encode
            self._wipe()
            self.staged = (choice.format, choice.bytes_)
        watch = _SpeedWatch(SLOWEST_BYTES_PER_S)
        with site.session.only_own_hosts(), site.downloading(choice.format, self._download_options(), watch):
            site.process_ie_result({**info, "formats": [dict(f) for f in choice.formats]}, download=True)
        files = [file for file in self.staging.iterdir() if file.suffix not in (".part", ".ytdl")]
        if len(files) != 1:
            return Failure(Reason.BAD_ANSWER, f"the download left {len(files)} files")
        if must_match and all(f.get("filesize") for f in choice.formats) and watch.n_bytes != choice.bytes_:
            self._wipe()
            return Failure(Reason.BAD_ANSWER, f"{watch.n_bytes} bytes came, the site named {choice.bytes_}")
        cut = None if self.sound_only else self.media.cut
        if failure := check_media(files[0], float(info.get("duration") or self.video["duration_s"]), cut):
            self._wipe()
            return failure
        return files[0]

    def _wipe(self) -> None:
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(parents=True)
        self.staged = ("", 0)


HEALING = frozenset({Reason.TRUNCATED, Reason.BROKEN_MEDIA, Reason.NOT_A_VIDEO})
"""Verdicts that another extraction or download may change."""


def change_of(info: Mapping[str, Any], looked_at: Mapping[str, Any]) -> str:
    """How a video differs from its row of `videos`, "" if it does not: in length, in the day of its upload, or in the
    bytes of the same audio format.

    The site rounds lengths to seconds. What either does not know is no change.
    """
    now_s, then_s = float(info.get("duration") or 0.0), float(looked_at["duration_s"])
    if now_s and then_s and abs(now_s - then_s) > ALLOWED_CHANGE_S:
        return f"{then_s:.0f} s long when it was looked at, {now_s:.0f} s now"
    now, then = upload_date_of(info), looked_at["upload_date"]
    if now and then and now != then:
        return f"uploaded on {then} when it was looked at, on {now} now"
    audio, then_bytes = looked_at["audio_format"], looked_at["audio_bytes"]
    sizes = [int(f.get("filesize") or 0) for f in info.get("formats") or () if f.get("format_id") == audio]
    if then_bytes > 0 and any(sizes) and then_bytes not in sizes:
        return f"{then_bytes} bytes of audio when it was looked at, {max(sizes)} now"
    return ""


@dataclass(slots=True)
class _SpeedWatch:
    """A progress hook that ends slow transfers: a slow trickle never triggers a socket's time limit."""

    slowest_bytes_per_s: float
    seen: list[tuple[float, int]] = field(default_factory=list)  # (time, bytes) of the current file
    n_bytes: int = 0  # of the files that are there

    def __call__(self, status: Mapping[str, Any]) -> None:
        now, bytes_ = time.monotonic(), int(status.get("downloaded_bytes") or 0)
        self.n_bytes += bytes_ if status.get("status") == "finished" else 0
        if status.get("status") != "downloading" or (self.seen and bytes_ < self.seen[-1][1]):
            self.seen.clear()
            return
        self.seen.append((now, bytes_))
        while self.seen[-1][0] - self.seen[0][0] > SPEED_WINDOW_S:
            then, before = self.seen.pop(0)
            if (bytes_ - before) / (now - then) < self.slowest_bytes_per_s:
                raise DeadlinePassed(f"slower than {self.slowest_bytes_per_s:.0f} bytes a second")


UNREADABLE = (Unusable, Starved, av.FFmpegError, ValueError, IndexError)
"""What opening and reading through a fetched file raises."""


def _failure_of(error: Exception) -> Failure:
    """The failure that an error of UNREADABLE means."""
    if isinstance(error, Unusable):
        return Failure(error.reason, error.detail)
    if isinstance(error, Starved):
        return Failure(Reason.TIMEOUT, str(error))
    return Failure(Reason.NOT_A_VIDEO, f"cannot be read through: {type(error).__name__}")


def check_media(path: Path, duration_s: float, cut: CutConfig | None) -> Failure | None:
    """Checks that the file is what was asked for: 720p (not without `cut`: the audio alone was), with audio, both
    streams as long as the site said. None if so.

    A short download raises no error, and if only the audio is short the container still claims the whole length.
    """
    try:
        with open_media(path, MediaLimits()) as container:
            if cut is not None and (failure := _unlike_720p(container, cut)):
                return failure
            if not container.streams.audio:
                return Failure(Reason.NO_AUDIO_FORMAT, "no audio track")
            ends = _ends_s(container)
    except UNREADABLE as error:
        return _failure_of(error)
    allowed_s = max(ALLOWED_SHORT_S, ALLOWED_SHORT_SHARE * duration_s)
    for kind, end_s in sorted(ends.items()):
        if end_s < duration_s - allowed_s:
            return Failure(Reason.TRUNCATED, f"{kind} ends at {end_s:.1f} s of {duration_s:.1f} s")
    return None


def _unlike_720p(container: Any, cut: CutConfig) -> Failure | None:
    if not container.streams.video:
        return Failure(Reason.NOT_A_VIDEO, "no video track")
    size = container.streams.video[0].codec_context
    if size is None:
        return Failure(Reason.UNSUPPORTED_CODEC, "a video track without a decoder")
    return (
        None if cut.is_720p(size.width, size.height) else Failure(Reason.NO_720P, f"came as {size.width}x{size.height}")
    )


def _ends_s(container: Any) -> dict[str, float]:
    """The end in seconds of the last packet of each kind of stream, read from the packets themselves."""
    tracks = [*container.streams.video[:1], *container.streams.audio[:1]]
    ends = {track.type: 0.0 for track in tracks}
    for packet in container.demux(tracks):
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream.type] = max(ends[packet.stream.type], end_s)
    return ends
