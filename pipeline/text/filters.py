"""Which clips are rejected for their text, and by which flags. Each filter has a reason and a threshold."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from manifests.reasons import Reason
from pipeline.config.text import ClipConfig, FilterConfig
from pipeline.text.captions.pace import words_in
from pipeline.text.captions.track import Event, Word, primary
from pipeline.text.clip_plan import PlannedClip
from pipeline.text.flags import flags_of

_ENGLISH = """
the of and to is that it you for with this are have has had be been not they we what can will just like know about my
your there all our from by or but if when which would could should their his her he she how why where who these those
than then because very really going don't it's that's i'm you're we're let's i
"""


@dataclass(frozen=True, slots=True)
class TextRules:
    """What is no speech, or said by a refrain: beyond these shares a clip is rejected."""

    min_words_per_s: float = 0.8
    max_words_per_s: float = 6.5
    """Between its first word and the end of its last. Speech has some three: beyond these, times are hardly right."""
    max_event_share: float = 0.5
    """Of its time under [Music] and the like."""
    max_ngram_share: float = 0.3
    """Of its text that one 3-gram fills."""
    max_non_word_share: float = 0.3
    """Of its tokens that have no letters."""
    foreign_words: int = 8
    """Words in a row in another language."""


TEXT_RULES = TextRules()
LANGUAGE_WORDS = 15
"""Clips and tracks with at least this many words have their language checked: of fewer it is often mistaken."""
SURE = 10.0
"""Log-probability margin over English from which a stretch of a clip counts as another language."""
NOT_FOREIGN = frozenset({"en", "la", "pcm"})
"""English, and the languages that lists of English terms (metals, formulas read out) are mistaken for."""
MAX_NAMES = 0.6
"""If a larger share of the words is capitalised they are names (the share is about 0.4 in German prose)."""
ELSEWHERE_WORDS = 5
MIN_ELSEWHERE = 8
"""A clip with fewer sequences is counted as having this many: short phrases recur in any speech."""
ENGLISH = frozenset(_ENGLISH.split())
"""Common words without which there is hardly an English sentence of some length, and which no other language has."""


def reject_of(
    clip: PlannedClip,
    words: Sequence[Word],
    sounds: Sequence[Event],
    clips: ClipConfig,
    filters: FilterConfig,
    *,
    language: str = "",
    elsewhere: float = 0.0,
    rules: TextRules = TEXT_RULES,
) -> tuple[Reason, str] | None:
    """Returns the first reason to reject a planned clip, with the measurement; None if there is none.

    `language` is the wanted language ("" = any); a clip with too few words to tell is taken to be in its track's
    language. `sounds`: from `joined_sounds`. `elsewhere`: the clip's value from `elsewhere_shares`.
    """
    inside = words[clip.first : clip.last]
    seconds = (clip.end_ms - clip.start_ms) / 1000
    if seconds < clips.min_s:
        return Reason.CLIP_TOO_SHORT, f"{seconds:.2f} s"
    if seconds > clips.max_s:
        return Reason.CLIP_TOO_LONG, f"{seconds:.2f} s"
    if clip.confidence < clips.min_confidence:
        return Reason.LOW_ALIGNMENT, f"{clip.confidence:.2f} of its words anchored"
    reject = _of_text(clip, inside, sounds, filters, rules)
    if reject is None and elsewhere > filters.max_elsewhere_share:
        reject = Reason.REPEATED_TEXT, f"{elsewhere:.2f} of it is repeated elsewhere"
    if reject is None and language and len(inside) >= LANGUAGE_WORDS:
        spoken = language_of(clip.text)
        reject = (Reason.WRONG_LANGUAGE, f"the words are in {spoken}") if spoken != language else None
    if reject is None and language == "en":
        reject = foreign_sentence([word.text for word in inside], rules.foreign_words)
    return reject or _of_flags(clip.text, filters)


def _of_text(
    clip: PlannedClip, words: Sequence[Word], sounds: Sequence[Event], config: FilterConfig, rules: TextRules
) -> tuple[Reason, str] | None:
    spoken_s = max((words[-1].end_ms - words[0].start_ms) / 1000, 0.001)
    texts = [word.text for word in words]
    n_words = sum(map(words_in, texts))
    rate = n_words / spoken_s
    if n_words < config.min_words:
        return Reason.TOO_FEW_WORDS, f"{n_words:.0f} words"
    if rate > rules.max_words_per_s:
        return Reason.TOO_MANY_WORDS_PER_SECOND, f"{rate:.2f} words/s"
    if rate < rules.min_words_per_s:
        return Reason.TOO_FEW_WORDS_PER_SECOND, f"{rate:.2f} words/s"
    if (share := event_share(clip, sounds)) > rules.max_event_share:
        return Reason.MOSTLY_EVENTS, f"{share:.2f} of its time"
    if (share := repeated_share(texts)) > rules.max_ngram_share:
        return Reason.REPEATED_TEXT, f"one phrase fills {share:.2f} of it"
    if (share := non_word_share(texts)) > rules.max_non_word_share:
        return Reason.NOT_WORDS, f"{share:.2f} of its tokens"
    return None


def _of_flags(text: str, config: FilterConfig) -> tuple[Reason, str] | None:
    """A flag that the configuration turns into a reject."""
    flags = [flag for flag in flags_of(text) if flag in config.reject_flags] if config.reject_flags else []
    return (Reason.FLAGGED_TEXT, ", ".join(flags)) if flags else None


def joined_sounds(events: Iterable[Event]) -> list[Event]:
    """The stretches of time under sounds, in order and apart: those that overlap are one."""
    joined: list[Event] = []
    for event in sorted((event for event in events if event.kind == "sound"), key=lambda event: event.start_ms):
        if joined and event.start_ms <= joined[-1].end_ms:
            joined[-1] = replace(joined[-1], end_ms=max(joined[-1].end_ms, event.end_ms))
        else:
            joined.append(event)
    return joined


def event_share(clip: PlannedClip, sounds: Sequence[Event]) -> float:
    """Share of a clip's time that is covered by `sounds` (from `joined_sounds`)."""
    covered = sum(max(0, min(sound.end_ms, clip.end_ms) - max(sound.start_ms, clip.start_ms)) for sound in sounds)
    return covered / max(clip.end_ms - clip.start_ms, 1)


def repeated_share(texts: Sequence[str]) -> float:
    """Share of the text that is its most common 3-gram; 0 below three mentions.

    A 3-gram said k times takes 3k words. Two mentions are ordinary speech; songs and recogniser loops have more.
    """
    words = [text.lower().strip(".,;:!?\"'…-") for text in texts]
    if len(words) < 6:
        return 0.0
    _, times = Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)[0]
    return min(3 * times / len(words), 1.0) if times >= 3 else 0.0


def non_word_share(texts: Sequence[str]) -> float:
    """Share of the tokens without any letter (numbers, symbols)."""
    return sum(1 for text in texts if not any(char.isalpha() for char in text)) / max(len(texts), 1)


def language_of(text: str) -> str:
    """The language of a text (ISO 639-1), reliable from about 15 words on."""
    import py3langid  # its model takes half a second to load

    if 2 * sum(char.isupper() for char in text) > len(text):
        text = text.lower()  # captions in capitals are mistaken for other languages
    return primary(py3langid.classify(text)[0])


def foreign_sentence(texts: Sequence[str], min_words: int) -> tuple[Reason, str] | None:
    """Finds a stretch of at least this many words of another language in English speech.

    Only stretches without any of the most common English words are classified, which keeps it cheap.
    """
    begin = 0
    for at in range(len(texts) + 1):
        if at < len(texts) and texts[at].lower().strip('.,;:!?"…-').replace("’", "'") not in ENGLISH:
            continue
        stretch = [text for text in texts[begin:at] if len(text) > 1 and any(char.isalpha() for char in text)]
        if len(stretch) >= min_words and (spoken := _surely_foreign(stretch)):
            return Reason.WRONG_LANGUAGE, f"{len(stretch)} words are in {spoken}"
        begin = at + 1
    return None


def _surely_foreign(texts: Sequence[str]) -> str:
    """The language of words that are certainly not English, else "". A run of names is not a language."""
    import py3langid  # its model takes half a second to load

    if sum(text[:1].isupper() for text in texts) > MAX_NAMES * len(texts):
        return ""
    ranked = py3langid.rank(" ".join(texts))
    best, score = ranked[0]
    return str(best) if best not in NOT_FOREIGN and score - dict(ranked)["en"] > SURE else ""


def elsewhere_shares(words: Sequence[Word], clips: Sequence[PlannedClip]) -> list[float]:
    """For each clip, the share of its word sequences (ELSEWHERE_WORDS long) that the track repeats outside of it.

    Refrains recur; speech hardly ever repeats five words in a row.
    """
    grams = _sequences(words)
    said = Counter(grams)
    shares = []
    for clip in clips:
        own = Counter(grams[clip.first : max(clip.last - ELSEWHERE_WORDS + 1, clip.first)])
        again = sum(n for gram, n in own.items() if said[gram] > n)
        shares.append(again / max(own.total(), MIN_ELSEWHERE))
    return shares


def repeats(words: Sequence[Word]) -> float:
    """Share of a track's word sequences (ELSEWHERE_WORDS long) that it has more than once."""
    said = Counter(_sequences(words))
    return sum(n for n in said.values() if n > 1) / max(said.total(), MIN_ELSEWHERE)


def _sequences(words: Sequence[Word]) -> list[tuple[str, ...]]:
    texts = [word.text.lower().strip(".,;:!?\"'…-♪") for word in words]
    return list(zip(*(texts[k:] for k in range(ELSEWHERE_WORDS)), strict=False))
