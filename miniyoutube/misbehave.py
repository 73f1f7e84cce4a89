"""Every known way in which the site misbehaves, by name: what it does, and what a crawl should make of it.

A `Fault` is one thing done to matching requests: of a video (`Video.faults`) or of the whole site
(`MiniYouTube.misbehave`). A `Behaviour` is a row of the table: faults, changed facts of the video, and the expected
result.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.reasons import Reason
from miniyoutube.faults import Fault


@dataclass(frozen=True, slots=True)
class Expected:
    """The result that a crawl of 720p English video should have for a behaviour.

    `reason`: of the reject, None if the video is kept; `stage`: where that reject is written ("crawl" or "media").
    `heals`: a later try succeeds. `pauses`: the identity is paused, since the video isn't to blame.
    """

    reason: Reason | None
    stage: str = "crawl"
    heals: bool = False
    pauses: bool = False

    @property
    def kept_in_the_end(self) -> bool:
        """Whether the video ends up in the data set once everything has been tried again."""
        return self.reason is None or self.heals


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A row of the table. `changes` are fields of `Video`; `slow`: a client waits for its own time limit."""

    says: str
    expected: Expected
    faults: tuple[Fault, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    slow: bool = False


def _status(where: str, status: int, **limits: Any) -> Fault:
    return Fault(where, "status", status=status, **limits)


def _never(reason: Reason, stage: str = "crawl") -> Expected:
    return Expected(reason, stage)


def _later(reason: Reason, stage: str = "crawl", heals: bool = True) -> Expected:
    return Expected(reason, stage, heals=heals)


def _pause(reason: Reason, stage: str = "crawl") -> Expected:
    return Expected(reason, stage, heals=True, pauses=True)


KEPT = Expected(None)
_ONCE: dict[str, Any] = {"extractions": 1}
_ALL_OF_A_VIDEO = ("watch", "player", "captions", "media")
EDITED = ("trimmed", "shrinking", "reencoded")
"""Behaviours that show between a look and the fetch: what becomes of such a video takes more than one run."""

BEHAVIOURS: dict[str, Behaviour] = {
    "good": Behaviour("answers as it should", KEPT),
    # verdicts of the player
    "private": Behaviour("private", _never(Reason.PRIVATE), (Fault("player", "private"),)),
    "removed": Behaviour("removed by the uploader", _never(Reason.UNAVAILABLE), (Fault("player", "removed"),)),
    "terminated": Behaviour("account closed", _never(Reason.UNAVAILABLE), (Fault("player", "terminated"),)),
    "copyright": Behaviour("blocked on copyright", _never(Reason.UNAVAILABLE), (Fault("player", "copyright"),)),
    "geo_copyright": Behaviour(
        "blocked in this country on copyright", _never(Reason.GEO_BLOCKED), (Fault("player", "geo_copyright"),)
    ),
    "legal": Behaviour("blocked in this country by law", _never(Reason.GEO_BLOCKED), (Fault("player", "legal"),)),
    "listed_deleted": Behaviour(
        "deleted, as the list itself says",
        _never(Reason.UNAVAILABLE),
        (Fault("player", "removed"),),
        {"listed_as": "[Deleted video]"},
    ),
    "listed_private": Behaviour(
        "private, as the list itself says",
        _never(Reason.PRIVATE),
        (Fault("player", "private"),),
        {"listed_as": "[Private video]"},
    ),
    "not_available": Behaviour(
        "unavailable, no cause given", _never(Reason.UNAVAILABLE), (Fault("player", "not_available"),)
    ),
    "age_gate": Behaviour("age gate", _never(Reason.AGE_RESTRICTED), (Fault("player", "age"),)),
    "age_playable": Behaviour("plays, but for adults", _never(Reason.AGE_RESTRICTED), changes={"family_safe": False}),
    "geo": Behaviour("not in this country", _never(Reason.GEO_BLOCKED), (Fault("player", "geo"),)),
    "members": Behaviour(
        "members only", _never(Reason.MEMBERS_ONLY), (Fault("player", "members"),), {"members_only": True}
    ),
    "members_unmarked": Behaviour(
        "members only, no badge in lists", _never(Reason.MEMBERS_ONLY), (Fault("player", "members"),)
    ),
    "payment": Behaviour("must be paid for", _never(Reason.PAYMENT_REQUIRED), (Fault("player", "payment"),)),
    "drm": Behaviour("protected", _never(Reason.DRM), (Fault("player", "drm"),)),
    "live": Behaviour("live now, badge in lists", _never(Reason.LIVE), changes={"live": "is_live"}),
    "live_unmarked": Behaviour(
        "went live after it was listed", _never(Reason.LIVE), changes={"live": "is_live_unmarked"}
    ),
    "post_live": Behaviour("a stream that has just ended", _never(Reason.LIVE), changes={"live": "post_live"}),
    "premiere": Behaviour("a premiere under way", _later(Reason.UPCOMING, heals=False), changes={"live": "premiere"}),
    "no_length": Behaviour(
        "the player names no length", _later(Reason.BAD_ANSWER, heals=False), changes={"tells_length": False}
    ),
    "upcoming_unmarked": Behaviour(
        "premieres later, no badge in lists", _later(Reason.UPCOMING, heals=False), (Fault("player", "upcoming"),)
    ),
    "upcoming": Behaviour(
        "premieres later", _later(Reason.UPCOMING, heals=False), (Fault("player", "upcoming"),), {"live": "is_upcoming"}
    ),
    "kids": Behaviour(
        "made for kids: some players refuse it (yt-dlp needs a JavaScript runtime)",
        KEPT,
        (Fault("player", "kids_client"),),
        {"made_for_kids": True},
    ),
    "sign_in": Behaviour(
        "asks to sign in, no cause given", _later(Reason.FORMATS_HIDDEN, heals=False), (Fault("player", "sign_in"),)
    ),
    "unheard_of": Behaviour(
        "a sentence that nobody has seen yet",
        _later(Reason.UNKNOWN_ANSWER, heals=False),
        (Fault("player", "unheard_of"),),
    ),
    "restricted": Behaviour(
        "the network is in Restricted Mode",
        _later(Reason.RESTRICTED_NETWORK, heals=False),
        (Fault("player", "restricted"),),
    ),
    "player_400": Behaviour("player 400", _later(Reason.BAD_ANSWER, heals=False), (_status("player", 400),)),
    "joint_only": Behaviour(
        "players get the 360p file alone, while the page lists 720p",
        _later(Reason.FORMATS_HIDDEN, heals=False),
        (Fault("player", "joint_only"),),
    ),
    # refused for now: the identity is paused
    "bot_check_once": Behaviour(
        "bot check at the first extraction", _pause(Reason.BOT_CHECK), (Fault("player", "bot_check", **_ONCE),)
    ),
    "session_limit_once": Behaviour(
        "session limit at first", _pause(Reason.SESSION_LIMIT), (Fault("player", "session_limit", **_ONCE),)
    ),
    "captcha_once": Behaviour("captcha at first", _pause(Reason.BOT_CHECK), (Fault("player", "captcha", **_ONCE),)),
    "player_429_once": Behaviour(
        "player 429 at first", _pause(Reason.RATE_LIMITED), (_status("player", 429, **_ONCE),)
    ),
    "watch_429_once": Behaviour(
        "watch page 429 at first: a playable video without category",
        _pause(Reason.RATE_LIMITED),
        (_status("watch", 429, requests=1),),
    ),
    "media_429_once": Behaviour(
        "media 429 at first", _pause(Reason.RATE_LIMITED, "media"), (_status("media", 429, requests=1),)
    ),
    "captions_429_once": Behaviour(
        "caption address 429 at first", _pause(Reason.CAPTIONS_REFUSED), (_status("captions", 429, requests=1),)
    ),
    # refused for now: the video is tried again
    "player_403": Behaviour("player 403", _later(Reason.FORBIDDEN, heals=False), (_status("player", 403),)),
    "player_503_once": Behaviour(
        "player 503 all through the first extraction", _later(Reason.SERVER_ERROR), (_status("player", 503, **_ONCE),)
    ),
    "player_503_retried": Behaviour("player 503 for one request", KEPT, (_status("player", 503, requests=1),)),
    "player_reset_once": Behaviour(
        "connection reset all through the first extraction",
        _later(Reason.CONNECTION_RESET),
        (Fault("player", "reset", **_ONCE),),
    ),
    "player_stall": Behaviour(
        "player says nothing", _later(Reason.STALLED, heals=False), (Fault("player", "stall"),), slow=True
    ),
    "player_html_once": Behaviour(
        "a consent page in place of JSON", _later(Reason.BAD_ANSWER), (Fault("player", "html", **_ONCE),)
    ),
    "other_video_once": Behaviour(
        "an answer for another video", _pause(Reason.BAD_ANSWER), (Fault("player", "other_id", **_ONCE),)
    ),
    "watch_503_twice": Behaviour(
        "watch page 503 for two requests", _later(Reason.SERVER_ERROR), (_status("watch", 503, requests=2),)
    ),
    "sabr": Behaviour(
        "formats without addresses", _later(Reason.FORMATS_HIDDEN, heals=False), (Fault("player", "sabr"),)
    ),
    # formats
    "only_480p": Behaviour("no 720p", _never(Reason.NO_720P), changes={"renditions": (480, 360)}),
    "only_progressive": Behaviour("a joint 360p file only", _never(Reason.NO_720P), changes={"renditions": ()}),
    "no_audio_format": Behaviour(
        "720p without an audio stream", _never(Reason.NO_AUDIO_FORMAT), changes={"has_audio": False}
    ),
    "portrait": Behaviour("720 wide, 1280 high", KEPT, changes={"width": 720, "height": 1280}),
    "odd_height": Behaviour("1280 x 718", KEPT, changes={"height": 718}),
    "also_1080p": Behaviour("a larger rendition beside 720p", KEPT, changes={"renditions": (1080, 720, 480, 360)}),
    "dubbed": Behaviour("a dub beside the original audio", KEPT, changes={"dubs": ("en", "de")}),
    "dub_recognised": Behaviour(
        "English with a German dub, both with recognised tracks", KEPT, changes={"dubs": ("en", "de"), "tracks": "dub"}
    ),
    "english_dub": Behaviour(
        "Spanish with an English dub, both with recognised tracks",
        _never(Reason.WRONG_LANGUAGE),
        changes={"language": "es", "dubs": ("es", "en"), "tracks": "english_dub"},
    ),
    # captions
    "no_captions": Behaviour("no caption track", _never(Reason.NO_CAPTIONS), changes={"tracks": ()}),
    "captions_locked": Behaviour(
        "tracks withheld without a token", _later(Reason.CAPTIONS_LOCKED, heals=False), changes={"tracks": "locked"}
    ),
    "captions_empty": Behaviour(
        "a body of 0 bytes", _later(Reason.CAPTIONS_LOCKED, heals=False), changes={"tracks": "empty"}
    ),
    "captions_no_text": Behaviour("json3 without a word", _never(Reason.EMPTY_CAPTIONS), changes={"tracks": "no_text"}),
    "captions_html": Behaviour(
        "a page in place of captions", _later(Reason.CAPTIONS_REFUSED, heals=False), changes={"tracks": "html"}
    ),
    "captions_xml": Behaviour(
        "an XML message in place of captions", _later(Reason.CAPTIONS_REFUSED, heals=False), changes={"tracks": "xml"}
    ),
    "captions_error": Behaviour(
        "a JSON error in place of captions", _later(Reason.CAPTIONS_REFUSED, heals=False), changes={"tracks": "error"}
    ),
    "captions_bom": Behaviour("captions after a byte order mark", KEPT, changes={"tracks": "bom"}),
    "captions_cut": Behaviour("half a json3 file", _never(Reason.BROKEN_CAPTIONS), changes={"tracks": "cut"}),
    "captions_cut_once": Behaviour("half a json3 file, at first", KEPT, (Fault("captions", "cut", requests=1),)),
    "captions_elsewhere": Behaviour(
        "caption addresses that lead to another machine",
        _later(Reason.BAD_ANSWER, heals=False),
        changes={"tracks": "elsewhere"},
    ),
    "captions_redirect": Behaviour(
        "caption addresses that redirect to this machine",
        _later(Reason.BAD_ANSWER, heals=False),
        (Fault("captions", "redirect", location="http://127.0.0.1:9/latest/meta-data"),),
    ),
    "captions_404": Behaviour(
        "caption address 404",
        _later(Reason.CAPTIONS_REFUSED, heals=False),
        (_status("captions", 404),),
        {"tracks": "both"},
    ),
    "manual_gone": Behaviour("a manual track 404, the automatic one well", KEPT, changes={"tracks": "manual_gone"}),
    "translated_only": Behaviour(
        "English only by machine translation", _never(Reason.NO_CAPTIONS), changes={"tracks": "translatable"}
    ),
    "automatic_only": Behaviour("automatic English only", KEPT, changes={"tracks": "automatic"}),
    "regional_track": Behaviour("a manual en-US track only", KEPT, changes={"tracks": "regional"}),
    "named_track": Behaviour("a manual English track with a name", KEPT, changes={"tracks": "named"}),
    # the video is not the wanted one
    "wrong_category": Behaviour(
        "found by another category's query", _never(Reason.WRONG_CATEGORY), changes={"listed_under": "another"}
    ),
    "non_english": Behaviour("Spanish", _never(Reason.WRONG_LANGUAGE), changes={"language": "es"}),
    "reupload": Behaviour("another video once more", _never(Reason.DUPLICATE_TEXT), changes={"copy_of": "another"}),
    # media
    "media_403": Behaviour(
        "media 403 for ever", _later(Reason.MEDIA_FORBIDDEN, "media", heals=False), (_status("media", 403),)
    ),
    "media_403_once": Behaviour("media 403 until extracted again", KEPT, (_status("media", 403, **_ONCE),)),
    "media_503": Behaviour(
        "media 503 for ever", _later(Reason.SERVER_ERROR, "media", heals=False), (_status("media", 503),)
    ),
    "media_503_retried": Behaviour("media 503 for one request", KEPT, (_status("media", 503, requests=1),)),
    "media_reset_once": Behaviour("one media connection is reset", KEPT, (Fault("media", "reset", requests=1),)),
    "media_html": Behaviour(
        "a network's page in place of media", _later(Reason.BAD_ANSWER, "media", heals=False), (Fault("media", "html"),)
    ),
    "media_drop_once": Behaviour("one media body ends half way", KEPT, (Fault("media", "drop", requests=1),)),
    "media_drop": Behaviour(
        "every media body ends early", _later(Reason.CONNECTION_RESET, "media", heals=False), (Fault("media", "drop"),)
    ),
    "media_empty": Behaviour(
        "200 without a byte", _later(Reason.BAD_ANSWER, "media", heals=False), (Fault("media", "empty"),)
    ),
    "media_stall": Behaviour(
        "media says nothing", _later(Reason.STALLED, "media", heals=False), (Fault("media", "stall"),), slow=True
    ),
    "media_drip": Behaviour(
        "a few bytes a second", _later(Reason.STALLED, "media", heals=False), (Fault("media", "drip"),), slow=True
    ),
    "media_redirect": Behaviour(
        "media addresses that redirect to another machine",
        _later(Reason.BAD_ANSWER, "media", heals=False),
        (Fault("media", "redirect", location="https://169.254.169.254/latest/meta-data"),),
    ),
    "short_media": Behaviour(
        "both streams end half way", _never(Reason.TRUNCATED, "media"), changes={"short_streams": ("video", "audio")}
    ),
    "short_audio": Behaviour(
        "the audio ends half way", _never(Reason.TRUNCATED, "media"), changes={"short_streams": ("audio",)}
    ),
    "trimmed": Behaviour(
        "its first 5 s were cut off after it was looked at",
        _later(Reason.CHANGED, "media"),
        tuple(Fault(where, "trimmed", extracted=1) for where in _ALL_OF_A_VIDEO),
    ),
    "shrinking": Behaviour(
        "another 2 s are cut off each time before it is fetched",
        _never(Reason.KEEPS_CHANGING, "media"),
        tuple(Fault(where, "shrinking", extracted=1) for where in _ALL_OF_A_VIDEO),
    ),
    "reencoded": Behaviour(
        "all sizes changed after it was looked at",
        _later(Reason.CHANGED, "media"),
        (Fault("player", "reencoded", extracted=1),),
    ),
    "broken_media": Behaviour(
        "garbage in the picture", _never(Reason.DECODE_ERRORS, "media"), changes={"damage": "broken"}
    ),
}
"""Every behaviour by name. The expected reasons are those of the crawl's own table of failures."""
