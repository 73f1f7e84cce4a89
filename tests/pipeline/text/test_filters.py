"""Each filter rejects what it names, with its reason, and leaves ordinary speech alone."""

import pytest

from manifests.reasons import Reason
from pipeline.config.text import ClipConfig, FilterConfig, TextConfig
from pipeline.text.captions.track import Event, Track, Word
from pipeline.text.clip_plan import PlannedClip
from pipeline.text.clips import plan_track
from pipeline.text.filters import (
    elsewhere_shares,
    foreign_sentence,
    joined_sounds,
    language_of,
    reject_of,
    repeated_share,
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
    found = reject_of(clip, words, joined_sounds(events), ClipConfig(), filters or FilterConfig(), language=language)
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


def test_a_clip_is_under_a_song_although_another_sound_began_since() -> None:
    """Each sound counts once: two at the same time do not fill twice their length."""
    song = Event("sound", "[Music]", 0, 60_000)
    sounds = (song, Event("sound", "[Applause]", 5000, 6000), Event("speaker", "ANN", 7000, 9000))
    words = [Word(w, 20_000 + i * 300, 20_300 + i * 300, True) for i, w in enumerate(ORDINARY.split())]
    track = Track(tuple(words), sounds, "vtt", "manual", "en", False, True)

    clips, reasons = plan_track(track, TextConfig(), language="en")

    assert clips and {reason and reason[0] for reason in reasons} == {Reason.MOSTLY_EVENTS}
    assert [reason and reason[1] for reason in reasons] == ["1.00 of its time"] * len(clips)
    twice = (Event("sound", "[Music]", 0, 2500), Event("sound", "[Applause]", 500, 2500))
    assert verdict(ORDINARY, events=twice) is None


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
