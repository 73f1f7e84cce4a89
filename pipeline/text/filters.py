"""Which clips are turned away for their text, and what is only flagged. Each filter has a reason and a threshold."""

import re
from collections import Counter
from collections.abc import Sequence

from manifests.reasons import Reason
from pipeline.config.text import ClipConfig, FilterConfig
from pipeline.text.captions.track import Event, Word
from pipeline.text.clip_plan import PlannedClip

_PROFANITY = """
fuck fucks fucked fucker fuckers fucking fuckin motherfucker motherfuckers motherfucking shit shits shitty shitting
bullshit asshole assholes bitch bitches bitching bastard bastards cunt cunts dick dicks dickhead cock cocks cocksucker
pussy slut sluts whore whores nigger niggers nigga niggas faggot faggots wanker wankers twat twats goddamn
"""
PROFANITY = frozenset(_PROFANITY.split()) | {"[__]"}
"""Words that flag a clip; the platform's mask `[__]` stands for one of them."""

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}\s?(?:@|\bat sign\b)\s?[\w-]+(?:\.|\sdot\s)[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\d.])(?:\+?\d{1,3}[\s.-]?)?(?:\(\d{3}\)|\d{3})[\s.-]\d{3}[\s.-]\d{4}(?!\d)")
_LONG_NUMBER = re.compile(r"(?<![\d.,])\d(?:[\s-]?\d){8,}(?![\d.,])")


def reject_of(
    clip: PlannedClip,
    words: Sequence[Word],
    events: Sequence[Event],
    clips: ClipConfig,
    filters: FilterConfig,
    *,
    language: str = "",
) -> tuple[Reason, str] | None:
    """The first reason to turn a planned clip away, with what was measured; None where it may stay.

    `language` is the wanted one ("" = any); a clip of too few words to tell is taken to be in its track's.
    """
    inside = words[clip.first : clip.last]
    seconds = (clip.end_ms - clip.start_ms) / 1000
    if seconds < clips.min_s:
        return Reason.CLIP_TOO_SHORT, f"{seconds:.2f} s"
    if seconds > clips.max_s:
        return Reason.CLIP_TOO_LONG, f"{seconds:.2f} s"
    if clip.confidence < clips.min_confidence:
        return Reason.LOW_ALIGNMENT, f"{clip.confidence:.2f} of its words anchored"
    found = _of_text(clip, inside, events, filters)
    if found is None and language and len(inside) >= filters.language_words:
        spoken = language_of(clip.text)
        found = (Reason.WRONG_LANGUAGE, f"the words are {spoken}") if spoken != language else None
    return found or _of_flags(clip.text, filters)


def _of_text(
    clip: PlannedClip, words: Sequence[Word], events: Sequence[Event], config: FilterConfig
) -> tuple[Reason, str] | None:
    spoken_s = max((words[-1].end_ms - words[0].start_ms) / 1000, 0.001)
    rate = len(words) / spoken_s
    texts = [word.text for word in words]
    if len(words) < config.min_words:
        return Reason.TOO_FEW_WORDS, f"{len(words)} words"
    if rate > config.max_words_per_s:
        return Reason.TOO_MANY_WORDS_PER_SECOND, f"{rate:.2f} words/s"
    if rate < config.min_words_per_s:
        return Reason.TOO_FEW_WORDS_PER_SECOND, f"{rate:.2f} words/s"
    if (share := event_share(clip, events)) > config.max_event_share:
        return Reason.MOSTLY_EVENTS, f"{share:.2f} of its time"
    if (share := repeated_share(texts)) > config.max_ngram_share:
        return Reason.REPEATED_TEXT, f"one phrase fills {share:.2f} of it"
    if (share := non_word_share(texts)) > config.max_non_word_share:
        return Reason.NOT_WORDS, f"{share:.2f} of its tokens"
    return None


def _of_flags(text: str, config: FilterConfig) -> tuple[Reason, str] | None:
    """A flag that the configuration turns into a reject."""
    found = [flag for flag in flags_of(text) if flag in config.reject_flags] if config.reject_flags else []
    return (Reason.FLAGGED_TEXT, ", ".join(found)) if found else None


def event_share(clip: PlannedClip, events: Sequence[Event]) -> float:
    """Share of a clip's time that lies under sounds."""
    covered = sum(
        max(0, min(event.end_ms, clip.end_ms) - max(event.start_ms, clip.start_ms))
        for event in events
        if event.kind == "sound"
    )
    return min(covered / max(clip.end_ms - clip.start_ms, 1), 1.0)


def repeated_share(texts: Sequence[str]) -> float:
    """Share of the text that repeats its commonest 3-gram, first mention apart; 0 below three mentions.

    A 3-gram said k times fills 3k words; two mentions are ordinary speech, songs and recogniser loops have more.
    """
    words = [text.lower().strip(".,;:!?\"'…-") for text in texts]
    if len(words) < 6:
        return 0.0
    _, times = Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)[0]
    return min(3 * times / len(words), 1.0) if times >= 3 else 0.0


def non_word_share(texts: Sequence[str]) -> float:
    """Share of the tokens that hold no letter (numbers, symbols)."""
    return sum(1 for text in texts if not any(char.isalpha() for char in text)) / max(len(texts), 1)


def flags_of(text: str) -> list[str]:
    """Which flags a text carries, sorted as in FLAGS."""
    found = []
    if any(word.lower().strip(".,;:!?\"'…-") in PROFANITY for word in text.split()):
        found.append("profanity")
    if ("@" in text or " dot " in text) and _EMAIL.search(text):
        found.append("email")
    if _PHONE.search(text):
        found.append("phone")
    elif _LONG_NUMBER.search(text):
        found.append("long_number")
    return found


def language_of(text: str) -> str:
    """The language of a text (ISO 639-1), reliable from about 15 words up."""
    import py3langid  # its model takes half a second to load

    language: str = py3langid.classify(text)[0]
    return language


def boilerplate_key(text: str) -> str:
    """A text as it is compared over a channel's videos: lower case, letters and digits alone."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))
