"""Each filter rejects what it names, with its reason, and leaves ordinary speech alone."""

from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.config.text import ClipConfig, FilterConfig
from pipeline.text.captions.track import Event, Word
from pipeline.text.clip_plan import PlannedClip
from pipeline.text.filters import (
    TextRules,
    elsewhere_shares,
    event_share,
    foreign_sentence,
    language_of,
    non_word_share,
    reject_of,
    repeated_share,
    repeats,
)

ORDINARY = "so today we are going to look at how a steam engine turns heat into motion and why that changed travel"


def verdict(
    text: str,
    *,
    word_ms: int = 300,
    events: tuple[Event, ...] = (),
    confidence: float = 1.0,
    filters: FilterConfig | None = None,
    language: str = "",
) -> Reason | None:
    words = [Word(w, i * word_ms, i * word_ms + word_ms, True) for i, w in enumerate(text.split())]
    clip = PlannedClip(0, len(words), 0, len(words) * word_ms, text, confidence)
    found = reject_of(clip, words, events, ClipConfig(), filters or FilterConfig(), language=language)
    return found[0] if found else None


def test_ordinary_speech_passes() -> None:
    assert verdict(ORDINARY, language="en") is None


@pytest.mark.parametrize(
    ("text", "word_ms", "reason"),
    [
        ("one two three four", 600, Reason.TOO_FEW_WORDS),
        (ORDINARY, 100, Reason.TOO_MANY_WORDS_PER_SECOND),
        ("well this is rather slow speech", 2000, Reason.TOO_FEW_WORDS_PER_SECOND),
        ("yes yes yes " * 6, 300, Reason.REPEATED_TEXT),
        ("one 2 3 4 5 6 7 8 9 10", 300, Reason.NOT_WORDS),
        ("we go now", 300, Reason.CLIP_TOO_SHORT),
        (ORDINARY + " " + ORDINARY, 900, Reason.CLIP_TOO_LONG),
    ],
)
def test_each_bound_has_its_reason(text: str, word_ms: int, reason: Reason) -> None:
    assert verdict(text, word_ms=word_ms) is reason


def test_a_clip_mostly_under_music_is_rejected() -> None:
    music = Event("sound", "[Music]", 0, 3000)
    assert verdict(ORDINARY, events=(music,)) is None
    assert verdict(ORDINARY, events=(Event("sound", "[Music]", 0, 4000),)) is Reason.MOSTLY_EVENTS


def test_low_alignment_is_rejected() -> None:
    assert verdict(ORDINARY, confidence=0.5) is Reason.LOW_ALIGNMENT


def test_another_language_is_rejected_only_where_words_suffice() -> None:
    french = "bonjour et bienvenue dans cette vidéo où nous allons parler de la revue de la semaine et de politique"
    assert verdict(french, language="en") is Reason.WRONG_LANGUAGE
    assert verdict("bonjour et bienvenue dans cette vidéo", language="en", word_ms=400) is None
    assert language_of(french) == "fr"
    assert verdict(f"man: {ORDINARY.upper()}", language="en") is None


def test_a_flag_turns_a_clip_away_when_configured() -> None:
    text = ORDINARY + " mail me at a.b@example.com"
    assert verdict(text) is None
    assert verdict(text, filters=FilterConfig(reject_flags=["email"])) is Reason.FLAGGED_TEXT


def test_a_foreign_sentence_inside_an_english_clip_is_rejected() -> None:
    for foreign in (
        "bonjour et bienvenue dans cette vidéo où nous allons parler",
        "wir haben uns gestern über das neue Buch unterhalten und gelacht",
        "hoy vamos a hablar de una historia muy importante para nosotros",
        "idag ska vi prata lite mer kring några nya svenska böcker",
    ):
        text = f"{ORDINARY} {foreign} and that is what he said"
        assert verdict(text, language="en", word_ms=280) is Reason.WRONG_LANGUAGE, foreign


def test_names_and_numbers_on_end_are_no_foreign_sentence() -> None:
    names = "Goldman Sachs Peter Jones Morgan Stanley Maria Gonzalez Deutsche Bank Wells Fargo Jean Dupont"
    assert foreign_sentence(names.split(), 8) is None
    metals = "iron, zinc, magnesium, aluminium, calcium carbonate, copper, silver, gold"
    assert foreign_sentence(metals.split(), 8) is None
    formula = "u minus l plus 1 m n k minus minus 9 plus 1 x y plus 7"
    assert foreign_sentence(formula.split(), 8) is None
    results = "twenty five percent growth last quarter versus twelve percent prior year"
    assert foreign_sentence(results.split(), 8) is None


def test_a_refrain_is_rejected_and_a_phrase_that_comes_back_is_not() -> None:
    refrain = "carry me over the silver water until morning finds us sleeping by an open door again tonight"
    verse = " ".join(f"line{i} word{i} thing{i}" for i in range(10))
    song = f"{refrain} {verse} {refrain}".split()
    words = [Word(w, i * 300, i * 300 + 300, True) for i, w in enumerate(song)]
    n = len(refrain.split())
    clips = [PlannedClip(a, b, a * 300, b * 300, " ".join(song[a:b]), 1.0) for a, b in ((0, n), (n, len(song) - n))]
    sung, spoken = elsewhere_shares(words, clips)
    assert sung == 1.0
    assert spoken == 0.0
    found = reject_of(clips[0], words, (), ClipConfig(), FilterConfig(), elsewhere=sung)
    assert found is not None
    assert found[0] is Reason.REPEATED_TEXT
    assert reject_of(clips[1], words, (), ClipConfig(), FilterConfig(min_words=1), elsewhere=spoken) is None


def test_two_mentions_are_speech_and_many_are_a_song() -> None:
    assert repeated_share(["the", "more", "we", "know", "the", "more", "we", "see"]) == 0
    assert repeated_share(("let it be " * 5).split()) > 0.9


def test_captions_in_capitals_are_read_as_the_language_that_they_are() -> None:
    text = "this is what we were talking about in the last lesson and it is not difficult at all"

    assert language_of(text) == language_of(text.upper()) == "en"


def judged(text: str, *, length_ms: int = 8000, **known: Any) -> tuple[Reason, str] | None:
    """A clip whose words fill all of it, and what it is rejected for."""
    parts = text.split()
    step = length_ms // len(parts)
    words = [Word(w, i * step, (i + 1) * step, True) for i, w in enumerate(parts)]
    filters, rules = FilterConfig(**known.pop("filters", {})), TextRules(**known.pop("rules", {}))
    clips = ClipConfig(**known.pop("clips", {}))
    clip = PlannedClip(0, len(words), 0, length_ms, text, known.pop("confidence", 1.0))
    return reject_of(clip, words, known.pop("events", ()), clips, filters, rules=rules, **known)


def rates(**rules: float) -> dict[str, Any]:
    return {"rules": rules}


WORDS = "so today we are going to look at how an engine turns heat into plain motion"
"""Sixteen words."""


@pytest.mark.parametrize(
    ("at", "beyond", "reason"),
    [
        ({"clips": {"min_s": 8.0}}, {"clips": {"min_s": 8.01}}, Reason.CLIP_TOO_SHORT),
        ({"clips": {"max_s": 8.0, "target_s": 5}}, {"clips": {"max_s": 7.99, "target_s": 5}}, Reason.CLIP_TOO_LONG),
        ({"confidence": 0.5, "clips": {"min_confidence": 0.5}}, {"confidence": 0.4}, Reason.LOW_ALIGNMENT),
        ({"filters": {"min_words": 16}}, {"filters": {"min_words": 17}}, Reason.TOO_FEW_WORDS),
        (rates(max_words_per_s=2.0), rates(max_words_per_s=1.99), Reason.TOO_MANY_WORDS_PER_SECOND),
        (rates(min_words_per_s=2.0), rates(min_words_per_s=2.01), Reason.TOO_FEW_WORDS_PER_SECOND),
        ({"elsewhere": 0.5, "filters": {"max_elsewhere_share": 0.5}}, {"elsewhere": 1.0}, Reason.REPEATED_TEXT),
    ],
)  # fmt: skip
def test_a_clip_just_at_a_bound_is_kept_and_one_beyond_it_is_not(
    at: dict[str, Any], beyond: dict[str, Any], reason: Reason
) -> None:
    assert judged(WORDS, **at) is None
    found = judged(WORDS, **beyond)
    assert found is not None and found[0] is reason and found[1]


def test_shares_just_at_their_bound_are_kept() -> None:
    song = (Event("sound", "♪", 0, 4000),)
    assert judged(WORDS, events=song, rules={"max_event_share": 0.5}) is None
    assert judged(WORDS, events=song, rules={"max_event_share": 0.49}) == (Reason.MOSTLY_EVENTS, "0.50 of its time")
    refrain = "we all go " * 3 + "down to the river now and"  # nine of fifteen words
    assert judged(refrain, rules={"max_ngram_share": 0.6}) is None
    assert judged(refrain, rules={"max_ngram_share": 0.59}) == (Reason.REPEATED_TEXT, "one phrase fills 0.60 of it")
    numbers = "we have 1 2 3 4 of these now"  # four of nine
    assert judged(numbers, rules={"max_non_word_share": 4 / 9}) is None
    assert judged(numbers, rules={"max_non_word_share": 0.4}) == (Reason.NOT_WORDS, "0.44 of its tokens")


def test_a_clip_has_a_share_under_events_and_a_share_that_repeats() -> None:
    def share(start_ms: int, end_ms: int, kind: str = "sound") -> float:
        return event_share(PlannedClip(0, 1, 1000, 3000, "", 1.0), [Event(kind, "[Music]", start_ms, end_ms)])

    assert [share(0, 1000), share(500, 2000), share(2500, 9000), share(3000, 4000)] == [0, 0.5, 0.25, 0]
    assert share(0, 9000) == 1 and share(0, 9000, "speaker") == 0
    assert event_share(PlannedClip(0, 1, 5, 5, "", 1.0), [Event("sound", "♪", 0, 9)]) == 0
    assert repeated_share(["a", "b", "c", "a", "b", "c"]) == 0, "two mentions are ordinary speech"
    assert repeated_share(["A,", "b", "c!", "a", "b", "c", "a", "b", "c", "d", "e", "f"]) == 9 / 12
    assert repeated_share(["la", "la", "la", "la", "la"]) == 0 and repeated_share(["la"] * 6) == 1
    assert non_word_share(["a", "1", "2b", "…"]) == 0.5 and non_word_share([]) == 0


def test_sequences_that_a_track_repeats_elsewhere_count_for_both_places() -> None:
    verse = ["down", "to", "the", "river", "we", "go", "once", "more", "my", "dear"]
    texts = [*verse, *["and", "then", "the", "sun", "came", "out", "over", "all", "of", "the", "hills"], *verse]
    words = [Word(text, i, i + 1, True) for i, text in enumerate(texts)]
    ten, eleven = len(verse), len(texts) - 2 * len(verse)
    spans = [(0, ten), (ten, ten + eleven), (ten + eleven, len(texts)), (0, len(texts)), (0, 4)]
    clips = [PlannedClip(first, last, 0, 1, "", 1.0) for first, last in spans]
    assert elsewhere_shares(words, clips) == [6 / 8, 0, 6 / 8, 0, 0]
    assert repeats(words) == 12 / 27 and repeats(words[: ten + eleven]) == 0 == repeats([])
