"""What YouTube's Data API decides of candidates, 50 in a request, before any of them is asked of the site.

Each verdict is one that looking at the site would reach too, with the same reason: only what the API says for certain
counts. Automatic captions, members-only and paid videos, the formats: all that is left to the look. Of an answer
nothing is kept but the rejects: their reason and their time.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from manifests.categories import category_by_id
from manifests.reasons import Reason
from manifests.rows import CandidateRow
from pipeline.config.crawl import CrawlConfig, LimitsConfig
from pipeline.crawl.limits import Verdict, check_category, check_live, check_video
from pipeline.crawl.sources.spans import has_texts
from pipeline.engine.work.unit import Reject
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.data_api import DataApi, Json, NotNow, PoliteApi
from pipeline.site.tracks import speaks

CREATIVE_COMMONS = "Creative Commons Attribution license (reuse allowed)"
"""What a watch page calls the only licence that the API names besides the site's own."""
NO_SPEECH = frozenset({"zxx", "und", "mul"})
"""Languages that say nothing of the captions: no words, not known, several."""
FEW_IDS = 5
"""If none of more ids than this is known to the API, its answer is not believed."""
ADULT_AGE = 18
ROUNDING_S = 1.0
"""The API's lengths are rounded up, a player's down."""
_DURATION = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,8}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)
_SECONDS_OF = {"weeks": 604_800, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def first_look(
    candidates: Sequence[CandidateRow],
    config: CrawlConfig,
    polite: PoliteApi,
    opt_outs: Tombstones,
    *,
    recognises: bool = False,
) -> dict[str, Reject] | None:
    """The candidates that the API decides, by id; None if it is not asked now. Raises StopRun if it refuses the key."""
    ids = [candidate["video_id"] for candidate in candidates]
    try:
        with DataApi(config, polite) as api:
            items, is_whole = api.videos(ids)
    except NotNow:
        return None
    found = {item["id"]: item for item in items}
    is_believed = is_whole and (bool(items) or len(ids) <= FEW_IDS)
    decided: dict[str, Reject] = {}
    for candidate in candidates:
        video_id, verdict = candidate["video_id"], None
        item = found.get(video_id, {})
        if item:
            verdict = judge(item, candidate["wanted_category_id"], config, opt_outs)
            needs_none = recognises or has_texts(candidate["given_spans"])
            if verdict and verdict[0] is Reason.NO_CAPTIONS and needs_none:
                verdict = None
        elif is_believed:
            verdict = Reason.UNAVAILABLE, "not among the public videos"
        if verdict:
            wait_s = _until_start_s(item) or config.politeness.later_s * 2 ** (candidate["attempt"] - 1)
            detail = f"{verdict[1]}, according to the Data API".removeprefix(", ")
            decided[video_id] = Reject(verdict[0], video_id, detail=detail, retry_after_s=wait_s)
    return decided


def judge(item: Json, wanted_id: int, config: CrawlConfig, opt_outs: Tombstones) -> Verdict | None:
    """Why a video that the API knows is rejected; None if it is not, or if only the site can tell."""
    snippet, details, status = (_part(item, name) for name in ("snippet", "contentDetails", "status"))
    if named := opt_outs.named(item["id"], _text(snippet, "channelId")):
        return Reason.OPTED_OUT, named
    if (upload := _text(status, "uploadStatus")) in ("rejected", "failed", "deleted"):
        return Reason.UNAVAILABLE, upload
    info = _info(item, config.limits)
    return (
        _category(snippet, wanted_id, config)
        or check_live(info, config.limits)
        or check_video(info, config, made_for_kids=status.get("madeForKids") is True)
        or _language(snippet, config.limits)
        or _region(details, config)
        or _captions(details, config)
        or ((Reason.NO_720P, "definition sd") if details.get("definition") == "sd" else None)
    )


def seconds_of(duration: str) -> float | None:
    """The seconds of an ISO 8601 duration; None for what is none, and for P0D, which the API gives to live streams."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        return None
    return sum(float(n) * _SECONDS_OF[name] for name, n in match.groupdict(default="0").items()) or None


def _info(item: Json, limits: LimitsConfig) -> dict[str, Any]:
    """What the API says as yt-dlp would, for the checks of `limits`; what it does not say passes them.

    A stream cannot be told from a premiere: where no streams are taken, what runs or is over is left to the look.
    """
    snippet, details, status = (_part(item, name) for name in ("snippet", "contentDetails", "status"))
    views = _text(_part(item, "statistics"), "viewCount")
    live = {"upcoming": "is_upcoming", "live": "is_live" if limits.allow_live else None}
    return {
        "live_status": live.get(_text(snippet, "liveBroadcastContent")),
        "age_limit": ADULT_AGE * (_part(details, "contentRating").get("ytRating") == "ytAgeRestricted"),
        "duration": _certain_length(seconds_of(_text(details, "duration")), limits),
        "upload_date": _day(_text(snippet, "publishedAt")),
        "license": _licence(_text(status, "license"), limits),
        "view_count": int(views) if re.fullmatch(r"\d{1,15}", views, re.ASCII) else None,
    }


def _certain_length(seconds: float | None, limits: LimitsConfig) -> float:
    """The length if it is outside the limits for certain, otherwise one inside them."""
    low, high = limits.min_duration_s, limits.max_duration_s
    if seconds is None or low - ROUNDING_S <= seconds <= high + ROUNDING_S:
        return high
    return seconds


def _until_start_s(item: Json) -> float:
    """The seconds until a premiere or stream is to start; 0.0 if it has started or is none."""
    try:
        start = datetime.fromisoformat(_text(_part(item, "liveStreamingDetails"), "scheduledStartTime"))
        return max(0.0, start.timestamp() - datetime.now(UTC).timestamp())
    except (ValueError, OverflowError):
        return 0.0


def _day(published: str) -> str:
    """YYYYMMDD in UTC; "" if it is no time."""
    try:
        return datetime.fromisoformat(published).astimezone(UTC).strftime("%Y%m%d")
    except (ValueError, OverflowError):
        return ""


def _licence(name: str, limits: LimitsConfig) -> str:
    known = {"youtube": "", "creativeCommon": CREATIVE_COMMONS}
    return known[name] if name in known else " ".join(limits.licences)


def _category(snippet: Json, wanted_id: int, config: CrawlConfig) -> Verdict | None:
    number = _text(snippet, "categoryId")
    category = category_by_id(int(number)) if re.fullmatch(r"\d{1,4}", number, re.ASCII) else None
    return check_category(category.name, wanted_id, config) if category else None


def _language(snippet: Json, limits: LimitsConfig) -> Verdict | None:
    spoken = _text(snippet, "defaultAudioLanguage")
    if not limits.languages or not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}", spoken):
        return None
    if spoken.casefold() in NO_SPEECH or any(speaks(spoken, wanted) for wanted in limits.languages):
        return None
    return Reason.WRONG_LANGUAGE, f"speech in {spoken}"


def _region(details: Json, config: CrawlConfig) -> Verdict | None:
    """A block counts if every identity's country is known and none may look."""
    countries = {identity.country for identity in config.pool()}
    restriction = _part(details, "regionRestriction")
    blocked, allowed = restriction.get("blocked"), restriction.get("allowed")
    if "" in countries:
        return None
    if isinstance(allowed, list) and not countries & {one for one in allowed if isinstance(one, str)}:
        return Reason.GEO_BLOCKED, f"not for {', '.join(sorted(countries))}"
    if isinstance(blocked, list) and countries <= {one for one in blocked if isinstance(one, str)}:
        return Reason.GEO_BLOCKED, f"blocked in {', '.join(sorted(countries))}"
    return None


def _captions(details: Json, config: CrawlConfig) -> Verdict | None:
    """The API knows of tracks that people made, not of recognised ones."""
    if config.captions.kinds == ("manual",) and details.get("caption") == "false":
        return Reason.NO_CAPTIONS, "no track made by people"
    return None


def _part(item: Mapping[str, Any], name: str) -> Json:
    part = item.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""
