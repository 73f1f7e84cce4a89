"""Text without word times takes those of a stamped track, and says how far that can be trusted."""

from itertools import pairwise

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
