"""What the doctor asks of the site and of those who help with it, and what each of its findings is."""

import time
from dataclasses import dataclass

from pipeline.config import RunConfig
from pipeline.config.crawl import IdentityConfig
from pipeline.engine.work.unit import StopRun
from pipeline.site.redact import redact, secrets_of

OK, WARN, FAIL = "ok", "warn", "fail"
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of the doctor. `state`: ok, warn (works, with a reservation) or fail; `cure` is "" if ok."""

    name: str
    state: str
    found: str
    cure: str = ""


def _as_identity(what: str, config: RunConfig, identity: IdentityConfig) -> str:
    """The name of a finding, with that of the identity where there are several."""
    return f"{what} as {identity.name}" if len(config.crawl.pool()) > 1 else what


def check_site(config: RunConfig, identity: IdentityConfig) -> Finding:
    """Checks that the site answers an identity at all."""
    from yt_dlp.networking.exceptions import RequestError

    from pipeline.site.kept_sessions import status_of_site

    name = _as_identity("the site", config, identity)
    try:
        status = status_of_site(config.crawl, identity, CONNECT_TIMEOUT_S)
    except (RequestError, StopRun) as error:
        return Finding(name, FAIL, _safe(config, error), "check the network, DNS and the proxies in crawl.identities")
    if status < 400:
        return Finding(name, OK, f"answers ({status})")
    state = FAIL if status in (403, 429) else WARN
    return Finding(name, state, f"answers {status}", "wait an hour, or use another address (proxy)")


def check_data_api(config: RunConfig) -> Finding:
    """Checks that the Data API takes the key, for a unit of its quota, and that nobody else can read the key's file."""
    from pipeline.engine.work.executor import SharedHere
    from pipeline.site.data_api import DataApi, NotNow
    from pipeline.site.politeness import Politeness

    file = config.crawl.data_api.key_file
    try:
        with DataApi(config.crawl, SharedHere(Politeness(config.crawl.politeness, {}))) as api:
            api.videos([config.crawl.canary or "-" * 11])
    except StopRun as error:
        problem, _, cure = error.detail.partition("; ")
        return Finding("Data API", FAIL, problem, cure)
    except NotNow as error:
        return Finding("Data API", WARN, str(error), "a run looks at candidates without it until it answers")
    if file is not None and file.stat().st_mode & 0o077:
        return Finding("Data API", WARN, f"answers; other users can read {file}", f"chmod 600 {file}")
    return Finding("Data API", OK, "answers; a unit of its quota is 50 candidates")


def check_canary(config: RunConfig, identity: IdentityConfig, video_id: str) -> Finding:
    """Checks a known video for 720p, a caption track and a category, as an identity with its tokens and players."""
    from yt_dlp.utils import YoutubeDLError

    from pipeline.crawl.extract import VIDEO_TIME_LIMIT_S
    from pipeline.site.asking import lacking_of
    from pipeline.site.formats import short_sides
    from pipeline.site.options import options_for
    from pipeline.site.tracks import list_tracks
    from pipeline.site.ytdlp import Session, extract_video, no_token, open_site

    name = _as_identity("canary", config, identity)
    session = Session(no_token, time.monotonic() + VIDEO_TIME_LIMIT_S)
    try:
        with open_site(options_for(config.crawl, identity), session) as site:
            info = extract_video(site, video_id)
    except (YoutubeDLError, StopRun) as error:
        return Finding(name, FAIL, f"{video_id}: {_safe(config, error)}", "see the reason; upgrade yt-dlp first")
    if lacking := lacking_of(info, config.crawl):
        return Finding(name, FAIL, f"{video_id}: no {', '.join(lacking)}", "upgrade yt-dlp; see JavaScript runtime")
    tracks = list_tracks(info.get("subtitles"), info.get("automatic_captions"))
    return Finding(name, OK, f"{video_id}: up to {max(short_sides(info['formats']))}p, {', '.join(tracks)[:60]}")


def _safe(config: RunConfig, error: BaseException) -> str:
    return redact(why_of(error), secrets_of(config.crawl))


def why_of(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return redact((text or [type(error).__name__])[0])[:200]
