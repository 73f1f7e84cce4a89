"""Text without word times takes those of a stamped track, and says how far that can be trusted."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.align import Alignment, align_track, align_words, comparable
from pipeline.text.captions.track import Event, Track, Word


def stamped(text: str, step: int = 300, start: int = 0) -> list[Word]:
    return [Word(w, start + i * step, start + i * step + step - 50, True) for i, w in enumerate(text.split())]


def track(words: list[Word], kind: str = "manual", events: tuple[Event, ...] = ()) -> Track:
    return Track(tuple(words), events, "vtt", kind, "en", True, kind == "auto")


def test_equal_words_take_the_stamped_times_whatever_case_and_marks() -> None:
    found = align_words(["Hello,", "big", "World."], stamped("hello big world"))
    assert [(w.text, w.start_ms) for w in found.words] == [("Hello,", 0), ("big", 300), ("World.", 600)]
    assert found.confidence == 1.0
    assert all(w.timed for w in found.words)


def test_a_number_written_out_is_the_same_word() -> None:
    assert comparable("Ten") == comparable("10") == "10"
    found = align_words(["I", "have", "10", "apples"], stamped("i have ten apples"))
    assert found.confidence == 1.0


def test_a_word_heard_wrongly_takes_its_place_but_is_no_anchor() -> None:
    found = align_words(["we", "use", "quantised", "models", "here"], stamped("we use quantum models here"))
    assert found.words[2].start_ms == 600
    assert found.anchored == (True, True, False, True, True)


def test_a_word_heard_wrongly_stands_on_the_stamp_of_what_was_heard() -> None:
    found = align_words(["we", "use", "quantised", "models", "here"], stamped("we use quantum models here"))
    assert found.words[2].timed
    assert found.confidence == 1.0


def test_of_two_words_one_of_which_was_dropped_the_nearer_one_takes_the_stamp() -> None:
    heard = [*stamped("we use"), Word("quantum", 600, 900, True), *stamped("today again", start=1500)]
    found = align_words(["we", "use", "quantised", "models", "today", "again"], heard)
    assert [(w.start_ms, w.timed) for w in found.words[2:4]] == [(600, True), (found.words[3].start_ms, False)]
    assert 850 <= found.words[3].start_ms < 1500
    late = [*stamped("we use"), Word("model", 1200, 1450, True), *stamped("today again", start=1500)]
    found = align_words(["we", "use", "quantised", "models", "today", "again"], late)
    assert found.words[3].start_ms == 1200
    assert found.words[3].timed


def test_words_that_were_joined_or_split_are_anchors() -> None:
    found = align_words(["We", "sell", "ice", "cream", "every", "day"], stamped("we sell icecream every day"))
    assert [w.start_ms for w in found.words[1:3]] == [300, 600]
    assert 600 < found.words[3].start_ms < 900 == found.words[4].start_ms
    assert all(found.anchored)
    found = align_words(["the", "website", "of", "everyone"], stamped("the web site of every one"))
    assert [w.start_ms for w in found.words] == [0, 300, 900, 1200]
    assert all(found.anchored)


def test_a_formula_of_many_spoken_words_fills_their_span() -> None:
    found = align_words(["so", "x^2=4", "holds"], stamped("so x squared equals four holds"))
    assert found.words[1].start_ms == 300
    assert found.words[1].end_ms == 4 * 300 + 250
    assert found.words[2].start_ms == 1500


def test_missing_words_before_a_sentence_end_follow_the_word_before() -> None:
    timed = [*stamped("we came home"), *stamped("then we slept", start=5000)]
    found = align_words(["we", "came", "home", "late.", "Then", "we", "slept"], timed)
    assert 900 <= found.words[3].start_ms + 50 < 1300
    assert found.words[4].start_ms == 5000


def test_a_missing_first_word_of_a_sentence_leads_up_to_the_word_after() -> None:
    timed = [*stamped("we came home"), *stamped("we slept", start=5000)]
    found = align_words(["we", "came", "home.", "Then", "we", "slept"], timed)
    assert 4600 <= found.words[3].start_ms < 5000


def test_an_extra_passage_in_the_text_gets_no_confidence_and_harms_no_neighbour() -> None:
    extra = " ".join(f"note{i}" for i in range(40))
    found = align_words(f"one two three {extra} four five six".split(), stamped("one two three four five six"))
    assert sum(found.anchored) == 6
    assert not any(found.anchored[3:43])
    assert found.words[-3].start_ms == 900


def test_a_lone_common_word_in_a_long_mismatch_is_no_anchor() -> None:
    text = "alpha beta gamma delta the epsilon zeta eta theta"
    heard = "some quite other words altogether the following were spoken by others"
    assert not any(align_words(text.split(), stamped(heard)).anchored)


def test_text_of_another_speech_keeps_its_own_times() -> None:
    manual = track(stamped("completely different words are written here today", step=1000))
    auto = track(stamped("nobody said anything like that in the recording"), "auto")
    aligned, found = align_track(manual, auto, min_confidence=0.4)
    assert aligned is manual
    assert found.confidence == 0.0


def test_an_aligned_track_says_so_and_moves_its_speaker_marks() -> None:
    manual = track(stamped("Hello there. Welcome back", step=2000), events=(Event("speaker", "Ann", 4000, 4000),))
    aligned, _ = align_track(manual, track(stamped("hello there welcome back", start=70), "auto"))
    assert aligned.kind == "manual_aligned"
    assert aligned.events[0].start_ms == 670


TOKENS = ["a", "the", "to", "cat", "dog", "seven", "7", "house.", "quite,", "really"]
WORDS = st.lists(st.sampled_from(TOKENS), max_size=30)


@given(WORDS, WORDS)
def test_any_two_texts_give_every_word_in_time_order(text: list[str], heard: list[str]) -> None:
    found = align_words(text, stamped(" ".join(heard)))
    assert [w.text for w in found.words] == text
    assert all(a.start_ms <= b.start_ms and a.end_ms <= b.start_ms for a, b in pairwise(found.words))
    assert all(0 <= w.start_ms <= w.end_ms for w in found.words)
    assert 0 <= found.confidence <= 1


@given(WORDS)
def test_a_text_aligned_to_itself_gets_its_own_times(heard: list[str]) -> None:
    timed = stamped(" ".join(heard))
    assert list(align_words(heard, timed).words) == timed


def times(found: Alignment) -> list[tuple[int, int]]:
    return [(word.start_ms, word.end_ms) for word in found.words]


@pytest.mark.parametrize(
    ("text", "same"),
    [("Don’t", "dont"), ("«Non»", "non"), ("twenty", "20"), ("Thirty", "30"), ("ninety", "90"), ("zero", "0"),
     ("&", "and"), ("%", "percent"), ("OK", "okay"), ("'cause", "cause"), ("e-mail", "email"), ("…", ""), ("$", "$"),
     ("C++", "c"), ("x²", "x²")],
)  # fmt: skip
def test_words_are_compared_by_letters_and_digits_and_small_numbers_as_digits(text: str, same: str) -> None:
    assert comparable(text) == same


@pytest.mark.parametrize(("n_beside", "is_anchor"), [(3, True), (4, False)])
def test_a_short_word_between_mismatches_is_trusted_while_they_are_short(n_beside: int, is_anchor: bool) -> None:
    said = [f"said{i}" for i in range(n_beside)] + ["the"] + [f"told{i}" for i in range(n_beside)]
    heard = [f"heard{i}" for i in range(n_beside)] + ["the"] + [f"noise{i}" for i in range(n_beside)]

    assert any(align_words(said, stamped(" ".join(heard))).anchored) == is_anchor


@pytest.mark.parametrize(
    ("said", "heard", "anchored"),
    [
        ("abc d", "abcd", True),  # four letters are evidence
        ("ab c", "abc", False),
        ("ab cd ef gh", "abcdefgh", True),
        ("ab cd ef gh ij", "abcdefghij", False),  # of five words, no
        ("abcdefgh", "ab cd ef gh", True),
        ("abcdefghij", "ab cd ef gh ij", False),
        ("ab cd", "a bcd", True),
    ],
)
def test_words_are_joined_up_to_four_of_them_and_where_they_have_four_letters(
    said: str, heard: str, anchored: bool
) -> None:
    found = align_words(f"before {said} afterwards".split(), stamped(f"before {heard} afterwards"))

    assert all(found.anchored[1:-1]) == anchored and found.anchored[0] and found.anchored[-1]


def test_joined_words_are_found_in_order_and_once_each() -> None:
    found = align_words(["we", "ice", "cream", "xx", "ice", "cream", "end"], stamped("we icecream yy icecream end"))

    assert [found.words[i].start_ms for i in (0, 1, 3, 4, 6)] == [0, 300, 600, 900, 1200]
    assert found.anchored == (True, True, True, False, True, True, True)


def test_as_many_words_as_stamps_without_an_anchor_take_them_one_by_one_as_guesses() -> None:
    said = ["v", "w", "x", "y", "z"]
    found = align_words(["beginning", *said, "finish"], stamped("beginning one two three four five finish"))

    assert times(found) == [(300 * i, 300 * i + 250) for i in range(7)]
    assert [word.timed for word in found.words] == [True, *[False] * 5, True]
    assert found.confidence == pytest.approx(2 / 7)
    first = align_words(["so", "then", "goodbye", "you", "all"], stamped("and now goodbye my friends"))
    assert times(first) == [(300 * i, 300 * i + 250) for i in range(5)]


def test_more_words_than_stamps_share_their_span_by_the_lengths_they_are_expected_to_have() -> None:
    """Five words of 135, 180, 225, 270 and 315 ms, 1,125 in all, over two stamps from 300 to 850 ms."""
    found = align_words(["start", "x", "xx", "xxx", "xxxx", "xxxxx", "stop"], stamped("start alpha beta stop"))

    edges = [300 + 550 * passed // 1125 for passed in (0, 135, 315, 540, 810, 1125)]
    assert times(found)[1:-1] == list(pairwise(edges))
    assert found.words[-1].start_ms == 900


def test_missing_words_stand_by_the_side_on_which_their_sentence_goes_on() -> None:
    """A gap from 250 to 5,000 ms, two words of 180 ms before the sentence's end and one of 225 after it."""
    timed = [Word("home", 0, 250, True), Word("slept", 5000, 5250, True)]
    found = align_words(["home", "so", "xx.", "Abc", "slept"], timed)

    assert times(found)[1:-1] == [(250, 430), (430, 655), (4775, 5000)]


def test_words_at_an_edge_of_the_track_take_the_time_that_they_need_and_none_before_0() -> None:
    found = align_words(["aa", "bb", "slept", "cc", "dd"], stamped("slept", start=1000))
    assert times(found) == [(640, 820), (820, 1000), (1000, 1250), (1250, 1430), (1430, 1610)]
    assert times(align_words(["aa", "bb", "slept"], stamped("slept", start=100)))[:2] == [(0, 50), (50, 100)]


def test_the_limit_of_confidence_is_enough_and_an_empty_track_never_is() -> None:
    manual = track(stamped("one two three four", step=1000))
    auto = track(stamped("one two nine eight seven six five"), "auto")
    confidence = align_track(manual, auto)[1].confidence

    assert 0 < confidence < 1
    assert align_track(manual, auto, min_confidence=confidence)[0].kind == "manual_aligned"
    assert align_track(manual, auto, min_confidence=confidence + 1e-9) == (
        manual,
        Alignment(manual.words, (False,) * 4, 0.0),
    )
    assert align_track(manual, track([], "auto"))[0] is manual


def test_events_other_than_speakers_stay_where_they_were_and_all_are_in_order() -> None:
    marks = (
        Event("sound", "[Music]", 500, 900),
        Event("speaker_change", "", 4000, 4000),
        Event("speaker", "Bo", 99_000, 99_000),
    )
    manual = track(stamped("Hello there. Welcome back", step=2000), events=marks)
    aligned, _ = align_track(manual, track(stamped("hello there welcome back", start=70), "auto"))

    assert [(event.kind, event.start_ms) for event in aligned.events] == [
        ("sound", 500),
        ("speaker_change", 670),
        ("speaker", 99_000),
    ]
    assert (aligned.word_timed, aligned.false_times, aligned.punctuated) == (True, False, True)
