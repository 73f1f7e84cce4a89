"""Why something is not in the data set: a closed list of reason codes, each with a class.

later   refused temporarily (rate limit, server error, reset): tried again when it is due
never   a verdict on this video or clip: not tried again unless a user says `retry --reason`
stop    nothing can succeed until a person acts (bad cookies, no disk, yt-dlp too old): the run ends
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class ReasonClass(StrEnum):
    """What a run does after a reject."""

    LATER = "later"
    NEVER = "never"
    STOP = "stop"


class _Fact(NamedTuple):
    class_: ReasonClass
    meaning: str


LATER, NEVER, STOP = ReasonClass.LATER, ReasonClass.NEVER, ReasonClass.STOP


class Reason(StrEnum):
    """A reason code. `.class_` says what the run does, `.meaning` is one line to display."""

    # asking the net: temporarily refused
    RATE_LIMITED = "rate_limited"
    BOT_CHECK = "bot_check"
    SESSION_LIMIT = "session_limit"
    FORBIDDEN = "forbidden"
    SERVER_ERROR = "server_error"
    CONNECTION_RESET = "connection_reset"
    STALLED = "stalled"
    BAD_ANSWER = "bad_answer"
    MEDIA_FORBIDDEN = "media_forbidden"
    FORMATS_HIDDEN = "formats_hidden"
    CAPTIONS_REFUSED = "captions_refused"
    UPCOMING = "upcoming"
    EXTRACTOR_ERROR = "extractor_error"
    UNKNOWN_ANSWER = "unknown_answer"
    PROXY_REFUSED = "proxy_refused"
    RESTRICTED_NETWORK = "restricted_network"
    # asking the net: a verdict on the video
    PRIVATE = "private"
    UNAVAILABLE = "unavailable"
    AGE_RESTRICTED = "age_restricted"
    MEMBERS_ONLY = "members_only"
    PAYMENT_REQUIRED = "payment_required"
    GEO_BLOCKED = "geo_blocked"
    DRM = "drm"
    LIVE = "live"
    NO_720P = "no_720p"
    NO_AUDIO_FORMAT = "no_audio_format"
    NO_CAPTIONS = "no_captions"
    CAPTIONS_LOCKED = "captions_locked"
    EMPTY_CAPTIONS = "empty_captions"
    # limits that the configuration sets
    WRONG_CATEGORY = "wrong_category"
    WRONG_LANGUAGE = "wrong_language"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    LICENCE_NOT_ALLOWED = "licence_not_allowed"
    MADE_FOR_KIDS = "made_for_kids"
    TOO_FEW_VIEWS = "too_few_views"
    OPTED_OUT = "opted_out"
    BAD_ID = "bad_id"
    BAD_ADDRESS = "bad_address"
    # text
    BROKEN_CAPTIONS = "broken_captions"
    FALSE_WORD_TIMES = "false_word_times"
    NO_SENTENCE_MODEL = "no_sentence_model"
    TOO_FEW_WORDS = "too_few_words"
    TOO_MANY_WORDS_PER_SECOND = "too_many_words_per_second"
    TOO_FEW_WORDS_PER_SECOND = "too_few_words_per_second"
    MOSTLY_EVENTS = "mostly_events"
    REPEATED_TEXT = "repeated_text"
    SONG = "song"
    NOT_WORDS = "not_words"
    FLAGGED_TEXT = "flagged_text"
    LOW_ALIGNMENT = "low_alignment"
    CLIP_TOO_SHORT = "clip_too_short"
    CLIP_TOO_LONG = "clip_too_long"
    NO_CLIPS = "no_clips"
    # media
    NOT_A_VIDEO = "not_a_video"
    UNSUPPORTED_CONTAINER = "unsupported_container"
    ENCRYPTED = "encrypted"
    BELOW_720P = "below_720p"
    CHANGED = "changed"
    KEEPS_CHANGING = "keeps_changing"
    TRUNCATED = "truncated"
    BROKEN_MEDIA = "broken_media"
    DECODE_ERRORS = "decode_errors"
    UNSUPPORTED_CODEC = "unsupported_codec"
    UNSUPPORTED_MEDIA = "unsupported_media"
    INTERLACED = "interlaced"
    HDR = "hdr"
    NO_AUDIO = "no_audio"
    OVERSIZED = "oversized"
    UNREADABLE_INPUT = "unreadable_input"
    SPAN_OUTSIDE = "span_outside"
    UPSCALED = "upscaled"
    BLACK_BARS = "black_bars"
    STILL_PICTURE = "still_picture"
    BAD_EXPOSURE = "bad_exposure"
    BLURRED = "blurred"
    MUCH_TEXT = "much_text"
    PLAIN_PICTURE = "plain_picture"
    SILENT = "silent"
    NO_RECOGNISER = "no_recogniser"
    ACROSS_SCENE_CUT = "across_scene_cut"
    DUPLICATE_VIDEO = "duplicate_video"
    DUPLICATE_CLIP = "duplicate_clip"
    DUPLICATE_TEXT = "duplicate_text"
    STOCK_INTRO = "stock_intro"
    PACK_LOST = "pack_lost"
    # image-text sets
    IMAGE_MISSING = "image_missing"
    IMAGE_BROKEN = "image_broken"
    IMAGE_TOO_SMALL = "image_too_small"
    IMAGE_TOO_LARGE = "image_too_large"
    NO_CAPTION_OF_IMAGE = "no_caption_of_image"
    DUPLICATE_IMAGE = "duplicate_image"
    # judged by a model
    # balance: left out, nothing wrong
    OVER_QUOTA = "over_quota"
    OVER_CHANNEL_CAP = "over_channel_cap"
    NOT_NEEDED = "not_needed"
    # the machine
    KILLED_WORKER = "killed_worker"
    OVER_MEMORY = "over_memory"
    TIMEOUT = "timeout"
    INTERNAL_ERROR = "internal_error"
    PLACE_FAILED = "place_failed"
    # the run cannot go on
    BAD_COOKIES = "bad_cookies"
    BAD_KEY = "bad_key"
    NO_DISK = "no_disk"
    YT_DLP_TOO_OLD = "yt_dlp_too_old"
    NO_NETWORK = "no_network"
    UNKNOWN_BLOCK = "unknown_block"

    @property
    def class_(self) -> ReasonClass:
        """later, never or stop."""
        return FACTS[self].class_

    @property
    def meaning(self) -> str:
        """A one-line explanation for reports."""
        return FACTS[self].meaning


@dataclass(frozen=True, slots=True)
class OwnReason:
    """A reason of a step that another package brings: its code is `PACKAGE.WORD`, so that it is nobody else's."""

    value: str
    meaning: str
    class_: ReasonClass = ReasonClass.NEVER

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", self.value):
            raise ValueError(f"{self.value!r}: write PACKAGE.WORD, in small letters, digits and _")


AnyReason = Reason | OwnReason


def meaning_of(reason: str) -> str:
    """A reason's one-line explanation, from its code; "" for a code that this version does not know."""
    return Reason(reason).meaning if reason in set(Reason) else ""


FACTS: dict[Reason, _Fact] = {
    Reason.RATE_LIMITED: _Fact(LATER, "the site answered 429, or yt-dlp warned of it"),
    Reason.BOT_CHECK: _Fact(LATER, "the site asked to confirm that this is not a bot"),
    Reason.SESSION_LIMIT: _Fact(LATER, "the site's limit for one session was reached"),
    Reason.FORBIDDEN: _Fact(LATER, "the site answered 403 to a page, list or player request"),
    Reason.SERVER_ERROR: _Fact(LATER, "the site answered with a 5xx status"),
    Reason.CONNECTION_RESET: _Fact(LATER, "the connection was reset or closed early"),
    Reason.STALLED: _Fact(LATER, "the transfer stalled or was too slow"),
    Reason.BAD_ANSWER: _Fact(LATER, "not the answer that was asked for (HTML for JSON, another video, no length)"),
    Reason.MEDIA_FORBIDDEN: _Fact(LATER, "the media address answered 403 or 404, also after a new extraction"),
    Reason.FORMATS_HIDDEN: _Fact(LATER, "formats were withheld (token, unsolved challenge, SABR only)"),
    Reason.CAPTIONS_REFUSED: _Fact(LATER, "the caption address refused, for now"),
    Reason.UPCOMING: _Fact(LATER, "not published yet, or a premiere or stream that has not ended"),
    Reason.EXTRACTOR_ERROR: _Fact(LATER, "yt-dlp failed in a way that the table of failures does not list yet"),
    Reason.UNKNOWN_ANSWER: _Fact(
        LATER, "the site refused the video in words that are not known, or to an identity that it shows nothing"
    ),
    Reason.PROXY_REFUSED: _Fact(LATER, "the proxy cannot be reached, or refused its user name or password"),
    Reason.RESTRICTED_NETWORK: _Fact(
        LATER, "the site restricts this network or account (Restricted Mode, administrator)"
    ),
    Reason.PRIVATE: _Fact(NEVER, "private video"),
    Reason.UNAVAILABLE: _Fact(NEVER, "removed, terminated or blocked on copyright grounds"),
    Reason.AGE_RESTRICTED: _Fact(NEVER, "age-restricted, or behind a warning of its content"),
    Reason.MEMBERS_ONLY: _Fact(NEVER, "for members of the channel or Premium subscribers only"),
    Reason.PAYMENT_REQUIRED: _Fact(NEVER, "must be paid for, bought or rented"),
    Reason.GEO_BLOCKED: _Fact(NEVER, "not available in the country that asked for it"),
    Reason.DRM: _Fact(NEVER, "protected by DRM"),
    Reason.LIVE: _Fact(NEVER, "a live stream"),
    Reason.NO_720P: _Fact(NEVER, "no rendition reaches 720p"),
    Reason.NO_AUDIO_FORMAT: _Fact(NEVER, "the 720p rendition has no matching audio"),
    Reason.NO_CAPTIONS: _Fact(NEVER, "no caption track in the wanted language"),
    Reason.CAPTIONS_LOCKED: _Fact(LATER, "caption tracks exist but are withheld from this client"),
    Reason.EMPTY_CAPTIONS: _Fact(NEVER, "the caption track came back without any text"),
    Reason.WRONG_CATEGORY: _Fact(NEVER, "the video's own category is not the wanted one"),
    Reason.WRONG_LANGUAGE: _Fact(NEVER, "the original speech or the captions are not in the wanted language"),
    Reason.TOO_SHORT: _Fact(NEVER, "shorter than the configured limit"),
    Reason.TOO_LONG: _Fact(NEVER, "longer than the configured limit"),
    Reason.TOO_OLD: _Fact(NEVER, "uploaded before the configured date"),
    Reason.TOO_NEW: _Fact(NEVER, "uploaded after the configured date"),
    Reason.LICENCE_NOT_ALLOWED: _Fact(NEVER, "licence not in the configured list"),
    Reason.MADE_FOR_KIDS: _Fact(NEVER, "made for kids"),
    Reason.TOO_FEW_VIEWS: _Fact(NEVER, "fewer views than the configured limit"),
    Reason.OPTED_OUT: _Fact(NEVER, "the owner asked to be left out"),
    Reason.BAD_ID: _Fact(NEVER, "not a video id"),
    Reason.BAD_ADDRESS: _Fact(NEVER, "not an address below a prefix of media_urls.allow"),
    Reason.BROKEN_CAPTIONS: _Fact(NEVER, "the caption file cannot be read"),
    Reason.FALSE_WORD_TIMES: _Fact(NEVER, "word times are false, and text.transcript.false_times is reject"),
    Reason.NO_SENTENCE_MODEL: _Fact(
        NEVER,
        "no marks, in a language that the sentence model does not know, and text.sentences.other_languages is reject",
    ),
    Reason.TOO_FEW_WORDS: _Fact(NEVER, "too few words"),
    Reason.TOO_MANY_WORDS_PER_SECOND: _Fact(NEVER, "more words per second than people speak"),
    Reason.TOO_FEW_WORDS_PER_SECOND: _Fact(NEVER, "fewer words per second than speech has"),
    Reason.MOSTLY_EVENTS: _Fact(NEVER, "mostly music, applause or other events"),
    Reason.REPEATED_TEXT: _Fact(NEVER, "one phrase repeated"),
    Reason.SONG: _Fact(NEVER, "captions that repeat as much as lyrics do"),
    Reason.NOT_WORDS: _Fact(NEVER, "too many tokens that are not words"),
    Reason.FLAGGED_TEXT: _Fact(NEVER, "profanity or personal data, where the configuration rejects such clips"),
    Reason.LOW_ALIGNMENT: _Fact(NEVER, "too few of its words could be aligned in time"),
    Reason.CLIP_TOO_SHORT: _Fact(NEVER, "clip shorter than the configured bound"),
    Reason.CLIP_TOO_LONG: _Fact(NEVER, "clip longer than the configured bound"),
    Reason.NO_CLIPS: _Fact(NEVER, "no clip of this video passed"),
    Reason.NOT_A_VIDEO: _Fact(NEVER, "does not open as video"),
    Reason.UNSUPPORTED_CONTAINER: _Fact(
        NEVER, "a video in another container than mp4 (mov), Matroska (WebM), MPEG-TS, FLV and AVI"
    ),
    Reason.ENCRYPTED: _Fact(NEVER, "its packets are encrypted"),
    Reason.BELOW_720P: _Fact(NEVER, "the video is below 720p"),
    Reason.CHANGED: _Fact(LATER, "another film than was looked at: a later run looks at it anew"),
    Reason.KEEPS_CHANGING: _Fact(
        NEVER, "another film again after two more looks, or than the times of its clips are for"
    ),
    Reason.TRUNCATED: _Fact(NEVER, "shorter than its header says, or cut off"),
    Reason.BROKEN_MEDIA: _Fact(NEVER, "the file cannot be read to its end"),
    Reason.DECODE_ERRORS: _Fact(NEVER, "the decoder reported errors"),
    Reason.UNSUPPORTED_CODEC: _Fact(NEVER, "a codec that an mp4 clip cannot carry"),
    Reason.UNSUPPORTED_MEDIA: _Fact(NEVER, "this cut.mode does not support a property of the file"),
    Reason.INTERLACED: _Fact(NEVER, "interlaced video"),
    Reason.HDR: _Fact(NEVER, "HDR video (tone mapping is off)"),
    Reason.NO_AUDIO: _Fact(NEVER, "no audio track"),
    Reason.OVERSIZED: _Fact(NEVER, "frame or file larger than the configured limit"),
    Reason.UNREADABLE_INPUT: _Fact(LATER, "the disk cannot read the file, or it is not a regular file"),
    Reason.SPAN_OUTSIDE: _Fact(NEVER, "the span lies outside the video"),
    Reason.UPSCALED: _Fact(NEVER, "a picture below 720p inside the 720p frame"),
    Reason.BLACK_BARS: _Fact(NEVER, "black bars around a picture that is 720p itself (4:3, letterboxed)"),
    Reason.STILL_PICTURE: _Fact(NEVER, "the picture does not move"),
    Reason.BAD_EXPOSURE: _Fact(NEVER, "nearly black or nearly white throughout"),
    Reason.BLURRED: _Fact(NEVER, "nothing in the picture is sharp"),
    Reason.MUCH_TEXT: _Fact(NEVER, "text takes much of the picture"),
    Reason.PLAIN_PICTURE: _Fact(NEVER, "most of the picture has one brightness"),
    Reason.SILENT: _Fact(NEVER, "the audio is silent"),
    Reason.NO_RECOGNISER: _Fact(LATER, "the speech recogniser cannot be loaded there, or failed; clips go on without"),
    Reason.ACROSS_SCENE_CUT: _Fact(NEVER, "the clip crosses a scene cut"),
    Reason.DUPLICATE_VIDEO: _Fact(NEVER, "the same address or the same pictures as another video"),
    Reason.DUPLICATE_CLIP: _Fact(NEVER, "the same pictures as another clip"),
    Reason.DUPLICATE_TEXT: _Fact(NEVER, "the same words as in another video"),
    Reason.STOCK_INTRO: _Fact(NEVER, "an opening that recurs in the channel's videos"),
    Reason.PACK_LOST: _Fact(NEVER, "the video's finished clips were lost or damaged before they reached a shard"),
    Reason.IMAGE_MISSING: _Fact(NEVER, "no picture file with the name given in the captions"),
    Reason.IMAGE_BROKEN: _Fact(NEVER, "the picture file cannot be decoded"),
    Reason.IMAGE_TOO_SMALL: _Fact(NEVER, "a side of the picture is below 32 pixels"),
    Reason.IMAGE_TOO_LARGE: _Fact(NEVER, "the picture file is too large to be opened safely"),
    Reason.NO_CAPTION_OF_IMAGE: _Fact(NEVER, "the picture has no caption"),
    Reason.DUPLICATE_IMAGE: _Fact(NEVER, "a copy of a picture already in the data set"),
    Reason.OVER_QUOTA: _Fact(NEVER, "its category is full"),
    Reason.OVER_CHANNEL_CAP: _Fact(NEVER, "its channel already has its share of the category"),
    Reason.NOT_NEEDED: _Fact(NEVER, "in the reserve: its media was not needed"),
    Reason.KILLED_WORKER: _Fact(NEVER, "three workers died while working on it, or two runs with executor `local`"),
    Reason.OVER_MEMORY: _Fact(NEVER, "exceeded the memory limit twice"),
    Reason.TIMEOUT: _Fact(LATER, "repeatedly exceeded its time limit, or got too little of a busy machine's time"),
    Reason.INTERNAL_ERROR: _Fact(
        LATER, "an error of this program; another version or `retry` tries it again; please report the detail"
    ),
    Reason.PLACE_FAILED: _Fact(STOP, "a disk, scratch folder or installation of this machine failed"),
    Reason.BAD_COOKIES: _Fact(STOP, "the cookies are rejected or unreadable"),
    Reason.BAD_KEY: _Fact(STOP, "the Data API refuses the key"),
    Reason.NO_DISK: _Fact(STOP, "no space left on the disk"),
    Reason.YT_DLP_TOO_OLD: _Fact(STOP, "yt-dlp no longer understands the site: upgrade it"),
    Reason.NO_NETWORK: _Fact(STOP, "the site cannot be reached at all"),
    Reason.UNKNOWN_BLOCK: _Fact(STOP, "the site shows no identity a video that is known to be there"),
}
