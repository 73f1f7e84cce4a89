"""Which videos the configuration rejects: each limit has its own reason. Pure functions of what the site said."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.categories import category_by_name
from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, LimitsConfig, wanted_categories
from pipeline.site.formats import marked_language, original_language
from pipeline.site.tracks import ORIGINAL, list_tracks, speaks
from pipeline.site.ytdlp import upload_date_of
from pipeline.text.captions.track import primary

Verdict = tuple[Reason, str]
"""A reason and a detail to display."""

STANDARD_LICENCE = "standard"
GONE = {"[Deleted video]": Reason.UNAVAILABLE, "[Private video]": Reason.PRIVATE}
"""The title of an entry whose video is gone; it has no length either."""


def check_listed(row: Mapping[str, Any], limits: LimitsConfig) -> Verdict | None:
    """Judges a row of a listing, so that no request is spent on a video it already rules out. Unknown values pass."""
    if row["title"] in GONE and not row["duration_s"]:
        return GONE[row["title"]], "according to the listing"
    if row["live_status"] == "is_live":
        return Reason.UPCOMING if limits.allow_live else Reason.LIVE, "live now, according to the listing"
    if row["live_status"] == "is_upcoming":
        return Reason.UPCOMING, "not published yet, according to the listing"
    if row["live_status"] == "was_live" and not limits.allow_live:
        return Reason.LIVE, "a recording of a live stream, according to the listing"
    if row["availability"] in ("subscriber_only", "premium_only"):
        return Reason.MEMBERS_ONLY, f"{row['availability']}, according to the listing"
    if row["duration_s"] > 0 and (verdict := _duration(row["duration_s"], limits)):
        return verdict
    return _views(row["view_count"], limits) if row["view_count"] >= 0 else None


NO_LENGTH: Verdict = (Reason.BAD_ANSWER, "the site named no length")


def check_live(info: Mapping[str, Any], limits: LimitsConfig) -> Verdict | None:
    """Rejects what is no finished video yet, or a stream; a premiere that is running is a video all the same."""
    status = info.get("live_status")
    if status == "is_upcoming":
        return Reason.UPCOMING, "not published yet"
    if status in ("is_live", "post_live"):
        is_premiere = info.get("media_type") not in (None, "livestream")
        return Reason.UPCOMING if limits.allow_live or is_premiere else Reason.LIVE, str(status)
    return (Reason.LIVE, "was_live") if status == "was_live" and not limits.allow_live else None


def check_video(info: Mapping[str, Any], config: CrawlConfig, *, made_for_kids: bool) -> Verdict | None:
    """The first limit that an extracted video violates, or None."""
    limits = config.limits
    return (
        _age(info, limits)
        or (_duration(float(info["duration"]), limits) if info.get("duration") else NO_LENGTH)
        or _dates(upload_date_of(info), limits)
        or _licence(str(info.get("license") or ""), limits)
        or ((Reason.MADE_FOR_KIDS, "") if made_for_kids and not limits.allow_made_for_kids else None)
        or (_views(int(info["view_count"]), limits) if info.get("view_count") is not None else None)
        or _language(info, limits)
    )


def check_category(name: str, wanted_id: int, config: CrawlConfig) -> Verdict | None:
    """Rejects a video whose own category is not wanted. The query that led to it is never trusted."""
    category = category_by_name(name)
    if category is None:
        return Reason.WRONG_CATEGORY, f"{name!r} is not one of the 15"
    if category.id not in wanted_categories(config):
        return Reason.WRONG_CATEGORY, f"{category.name} is not among the wanted ones"
    if config.limits.other_categories == "reject" and wanted_id not in (-1, category.id):
        return Reason.WRONG_CATEGORY, f"{category.name}, found while looking for {wanted_id}"
    return None


def _age(info: Mapping[str, Any], limits: LimitsConfig) -> Verdict | None:
    age = int(info.get("age_limit") or 0)
    return (Reason.AGE_RESTRICTED, f"age limit {age}") if age > limits.max_age_limit else None


def _duration(duration_s: float, limits: LimitsConfig) -> Verdict | None:
    if duration_s < limits.min_duration_s:
        return Reason.TOO_SHORT, f"{duration_s:.0f} s"
    return (Reason.TOO_LONG, f"{duration_s:.0f} s") if duration_s > limits.max_duration_s else None


def _dates(day: str, limits: LimitsConfig) -> Verdict | None:
    if not day:
        return None
    if limits.uploaded_after and day < limits.uploaded_after:
        return Reason.TOO_OLD, day
    return (Reason.TOO_NEW, day) if limits.uploaded_before and day > limits.uploaded_before else None


def _licence(licence: str, limits: LimitsConfig) -> Verdict | None:
    """An empty licence means the site's standard licence: the site names only others."""
    plain = licence.casefold() or STANDARD_LICENCE
    if not limits.licences or any(wanted.casefold() in plain for wanted in limits.licences):
        return None
    return Reason.LICENCE_NOT_ALLOWED, licence or "the site's standard licence"


def _views(count: int, limits: LimitsConfig) -> Verdict | None:
    return (Reason.TOO_FEW_VIEWS, f"{count} views") if count < limits.min_views else None


def _language(info: Mapping[str, Any], limits: LimitsConfig) -> Verdict | None:
    """Checks the language of the original speech; unknown passes (captions decide later). A dub is not looked at: it
    is not what the video's people say.
    """
    spoken = spoken_language(info)
    if not limits.languages or not spoken or any(speaks(spoken, wanted) for wanted in limits.languages):
        return None
    return Reason.WRONG_LANGUAGE, f"speech in {spoken}"


def spoken_language(info: Mapping[str, Any]) -> str:
    """The language of the original speech; "" if nothing tells it.

    A dub has a recognised track of its own, so the audio that the site marks as the original decides; without marks the
    recognised track, the first by name if there are several.
    """
    formats = info.get("formats") or ()
    recognised = [t.partition(":")[2] for t in list_tracks({}, info.get("automatic_captions"))]
    if not (marked := marked_language(formats)) and recognised:
        return min(recognised, key=lambda key: (not key.endswith(ORIGINAL), key)).removesuffix(ORIGINAL)
    return marked or original_language(formats)


def text_languages(info: Mapping[str, Any], wanted: Sequence[str]) -> Sequence[str]:
    """The languages of captions to take: those wanted (empty: any) that the video is spoken in, if that is known."""
    spoken = primary(spoken_language(info))
    return [language for language in wanted or (spoken,) if speaks(language, spoken)] if spoken else wanted
