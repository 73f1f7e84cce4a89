"""Configuration of the text side: tracks, sentences, clips and filters."""

from typing import ClassVar, Literal

from pydantic import model_validator

from manifests.settings import Section, identity

TextFlag = Literal["profanity", "email", "phone", "long_number", "address", "birthday"]


class TranscriptConfig(Section):
    """From caption tracks to one transcript per video."""

    stage: ClassVar[str] = "transcripts"

    languages: tuple[str, ...] = identity(
        ("en",),
        min_length=1,
        doc="languages of captions and speech (ISO 639-1), the preferred one first; crawl.limits.languages has to let "
        "their videos in",
    )
    prefer: Literal["manual", "auto"] = identity(
        "manual", doc="whose text to take where a video has both tracks; manual text gets the automatic track's times"
    )
    min_words: int = identity(20, ge=1, doc="a video with fewer words is rejected (too_few_words)")
    check_language: bool = identity(
        True, doc="reject a track whose words are in another language than it says (wrong_language)"
    )
    recognise: Literal["never", "missing"] = identity(
        "never",
        doc="videos of the site or of a folder without captions: never: rejected; missing: they get what a recogniser "
        "hears (media.heard.model), and say so (caption_kind: recognised)",
    )
    false_times: Literal["cue", "reject"] = identity(
        "cue",
        doc="tracks with false word times (translated, live): cue: use the times of cues; reject: reject the video",
    )


class SentenceConfig(Section):
    """From words to sentences."""

    stage: ClassVar[str] = "clips"

    model: Literal["net", "sat", "pause"] = identity(
        "net", doc="sentence model for tracks without marks: net (shipped), sat (wtpsplit-lite), pause (baseline)"
    )
    other_languages: Literal["pauses", "reject"] = identity(
        "pauses",
        doc="tracks without marks in a language that no shipped net knows (all but en, de, es, fr, pt): pauses: "
        "split at pauses, as by the model pause; reject: rejected (no_sentence_model)",
    )
    weights: str = identity(
        "", doc="your own weights: a model file (net), or a folder with a model and its tokenizer (sat); empty: shipped"
    )


class ClipConfig(Section):
    """From sentences to clips."""

    stage: ClassVar[str] = "clips"

    steer_by: Literal["seconds", "words"] = identity("seconds", doc="which of the two targets clips aim at")
    target_s: float = identity(13.4, gt=0, doc="length to aim at, seconds (HD-VILA-100M's mean)")
    target_words: float = identity(32.5, gt=0, doc="words to aim at (HD-VILA-100M's mean)")
    min_s: float = identity(2.0, ge=0, doc="shorter clips are rejected (clip_too_short), seconds")
    max_s: float = identity(25.0, gt=0, doc="longest clip, padding included, seconds")
    pad_ms: int = identity(
        200, ge=0, doc="padding before the first and after the last word, at most the silence there, ms"
    )
    min_confidence: float = identity(
        0.6, ge=0.0, le=1.0, doc="clips with a smaller share of anchored words are rejected (low_alignment)"
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ClipConfig":
        if not self.min_s <= self.target_s <= self.max_s:
            raise ValueError("min_s, target_s and max_s must be in ascending order")
        return self


class FilterConfig(Section):
    """Which clips are rejected for their text, and which are only flagged."""

    stage: ClassVar[str] = "clips"

    min_words: int = identity(5, ge=0, doc="clips with fewer words are rejected (too_few_words)")
    max_elsewhere_share: float = identity(
        0.5,
        ge=0,
        le=1,
        doc="clips with a larger share of 5-grams that recur elsewhere in the video (choruses) are rejected "
        "(repeated_text)",
    )
    max_repeated_share: float = identity(
        0.15,
        ge=0,
        le=1,
        doc="videos with a larger share of recurring 5-grams are rejected (song): speech has at most 0.1",
    )
    reject_flags: list[TextFlag] = identity(
        list,
        doc="flags that reject a clip instead of only marking it: profanity, email, phone, long_number, address, "
        "birthday",
    )


class TextConfig(Section):
    """All settings of the text stages."""

    transcript: TranscriptConfig = TranscriptConfig()
    sentences: SentenceConfig = SentenceConfig()
    clips: ClipConfig = ClipConfig()
    filters: FilterConfig = FilterConfig()
