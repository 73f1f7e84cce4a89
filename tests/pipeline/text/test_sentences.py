"""Sentences: by the track's own marks where it has them, else by the model; every word in exactly one."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.config.text import SentenceConfig
from pipeline.engine.work.unit import Rejected
from pipeline.text.boundary import MODEL_LANGUAGES, PauseModel
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions.track import Event, Track, Word
from pipeline.text.sentences import (
    BY_MARKS,
    model_used,
    speaker_turns,
    split_sentences,
)


def track(
    text: str, *, punctuated: bool = True, gaps: dict[int, int] | None = None, events: tuple[Event, ...] = ()
) -> Track:
    words, now = [], 0
    for i, word in enumerate(text.split()):
        words.append(Word(word, now, now + 250, True))
        now += 300 + (gaps or {}).get(i, 0)
    return Track(tuple(words), events, "json3", "auto", "en", punctuated, True)


def sentences(text: str) -> list[str]:
    return [s.text for s in split_sentences(track(text), SentenceConfig())]


@pytest.mark.parametrize(
    "text",
    [
        "The U.S. Army came. | We met Dr. Smith at 3.5 percent. | J. K. Rowling wrote it.",
        'He said "Stop." | Then he left. | Wait... | What?! | No.',
        "Prices rose, e.g. bread and milk etc. in the city. | Buy no. 5 now.",
        "I live in the U.S. | The weather is fine. | It is 5 p.m. | Go home.",
        '"Why?" he asked. | Well... maybe not. | (Really!) | Yes.',
        "Это точно. | Вы можете умереть! | Да…",
        "We waited until Jan. 5 for Mr. and Mrs. Fox. | It was cold.",
    ],
)
def test_marks_end_sentences_but_not_abbreviations_initials_or_numbers(text: str) -> None:
    assert sentences(text.replace(" |", "")) == text.split(" | ")


def test_a_lower_case_track_with_marks_still_ends_at_full_stops() -> None:
    assert sentences("this is one. and this two. ok good. fine then.") == [
        "this is one.",
        "and this two.",
        "ok good.",
        "fine then.",
    ]


def test_a_change_of_speaker_ends_a_sentence_without_a_mark() -> None:
    marked = track("so how are you fine thanks.", events=(Event("speaker_change", ">>", 1200, 1200),))
    assert [s.text for s in split_sentences(marked, SentenceConfig())] == ["so how are you", "fine thanks."]
    assert speaker_turns(marked).tolist() == [False, False, False, True, False, False]


def test_an_unmarked_track_is_split_by_the_model_and_says_so() -> None:
    unmarked = track("we went home then we slept well", punctuated=False, gaps={2: 1500})
    found = split_sentences(unmarked, SentenceConfig(), PauseModel())
    assert [s.text for s in found] == ["we went home", "then we slept well"]
    assert model_used(unmarked, SentenceConfig(model="pause")) == "pause"
    assert model_used(track("One. Two."), SentenceConfig()) == BY_MARKS


def test_where_the_net_does_not_know_the_language_pauses_decide_and_say_so_or_the_track_is_rejected() -> None:
    italian = replace(
        track("siamo andati a casa poi abbiamo dormito", punctuated=False, gaps={3: 1500}), language="it-CH"
    )
    found = split_sentences(italian, SentenceConfig())
    assert [s.text for s in found] == ["siamo andati a casa", "poi abbiamo dormito"]
    assert model_used(italian, SentenceConfig()) == "pause"
    assert model_used(replace(italian, language="en-GB"), SentenceConfig()) == "net-3"
    for language in MODEL_LANGUAGES - {"en"}:
        assert model_used(replace(italian, language=f"{language}-XX"), SentenceConfig()) == f"net-{language}-1"

    strict = SentenceConfig(other_languages="reject")
    with pytest.raises(Rejected) as caught:
        split_sentences(italian, strict)
    assert caught.value.reason is Reason.NO_SENTENCE_MODEL
    marked = replace(track("Nos fuimos a casa. Luego dormimos bien.", punctuated=True), language="es")
    assert len(split_sentences(marked, strict)) == 2 and model_used(marked, strict) == BY_MARKS


def test_a_long_unmarked_run_inside_a_marked_track_is_split() -> None:
    text = "Hello there. " + " ".join(f"word{i}" for i in range(300)) + " end."
    found = split_sentences(track(text), SentenceConfig(), PauseModel(), max_words=50)
    assert found[0].text == "Hello there."
    assert max(s.last - s.first for s in found) <= 50


def test_the_shipped_model_finds_plain_sentence_ends_from_words_and_pauses() -> None:
    text = "hello everyone and welcome to the show my name is anna today we are going to talk about trains thank you"
    unmarked = track(text, punctuated=False, gaps={6: 800, 10: 800, 18: 900})
    ends = [s.last for s in split_sentences(unmarked, SentenceConfig())]
    assert {7, 19} <= set(ends)
    assert len(ends) <= 5


TOKENS = ["a", "we", "so.", "and", "yes?", "U.S.", "Dr.", "3.5", "no...", "the"]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=80), st.booleans(), st.integers(10, 40))
def test_every_word_is_in_exactly_one_sentence(words: list[str], punctuated: bool, limit: int) -> None:
    made = track(" ".join(words), punctuated=punctuated)
    found = split_sentences(made, SentenceConfig(), PauseModel(), max_words=limit)
    assert [i for s in found for i in range(s.first, s.last)] == list(range(len(words)))
    assert " ".join(s.text for s in found) == " ".join(words)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(found))
    assert all(s.last - s.first <= limit for s in found)


def test_an_empty_track_has_no_sentences() -> None:
    empty = Track((), (), "vtt", "manual", "en", False, False)
    assert split_sentences(empty, SentenceConfig(), PauseModel()) == []
    assert np.array(sentence_ends([])).size == 0
