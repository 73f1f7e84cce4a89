"""What is not speech in a caption: songs, sounds in any brackets, speakers' names. Words alone are words."""

import pytest

from pipeline.config.text import TextConfig
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions import Track, read_track
from pipeline.text.clips import plan_track


def track(*cues: str, seconds: float = 4.0) -> Track:
    """A manual srt with these cues, one after the other."""
    parts = []
    for n, text in enumerate(cues):
        start, end = n * seconds, (n + 1) * seconds
        span = " --> ".join(f"00:{int(t // 60):02d}:{t % 60:06.3f}".replace(".", ",") for t in (start, end))
        parts.append(f"{n + 1}\n{span}\n{text}\n")
    return read_track("\n".join(parts).encode())


def spoken(found: Track) -> str:
    return " ".join(word.text for word in found.words)


def events(found: Track, kind: str) -> list[tuple[str, int, int]]:
    return [(e.text, e.start_ms, e.end_ms) for e in found.events if e.kind == kind]


def test_a_song_between_notes_is_a_span() -> None:
    found = track("So she sang it.", "♪ Carry me over the water ♪", "And that was all.")
    assert events(found, "sound") == [("♪", 4000, 8000)]
    assert spoken(found) == "So she sang it. Carry me over the water And that was all."


def test_a_song_over_several_cues_is_one_span() -> None:
    found = track("♪ Carry me over", "the silver water", "until morning ♪", "Thank you.")
    assert events(found, "sound") == [("♪", 0, 12000)]


def test_cues_that_only_open_with_a_note_are_songs_each() -> None:
    found = track("♪ Carry me over", "♪ the silver water", "Thank you.")
    assert events(found, "sound") == [("♪", 0, 4000), ("♪", 4000, 8000)]


def test_sung_clips_are_rejected() -> None:
    lines = [f"♪ Carry me over the silver water number {n} of many ♪" for n in range(8)]
    clips, away = plan_track(track(*lines), TextConfig(), language="en")
    assert clips
    assert all(reason is not None and reason[0].value == "mostly_events" for reason in away)


@pytest.mark.parametrize("sound", ["*laughs*", "{laughter}", "{door slams}", "[GRUNTS]", "*crowd cheering*"])
def test_sounds_in_any_brackets_are_events(sound: str) -> None:
    found = track(f"We went {sound} home then.")
    assert spoken(found) == "We went home then."
    assert [text for text, _, _ in events(found, "sound")] == [sound]


def test_a_word_that_is_masked_stays_a_word_of_its_own_and_hides_no_mark() -> None:
    found = track("So what the **** was it? That is", "all he said. ****")
    assert spoken(found) == "So what the **** was it? That is all he said. ****"
    assert sentence_ends([word.text for word in found.words]).count(True) == 2


def test_stars_around_a_word_that_is_said_leave_it_a_word() -> None:
    assert spoken(track("I *really* mean 5*4*3.")) == "I *really* mean 5*4*3."


@pytest.mark.parametrize("label", ["Interviewer", "interviewer", "Speaker 1", "NARRATOR", "man 2"])
def test_a_role_before_a_colon_is_a_speaker_even_once(label: str) -> None:
    found = track("Good evening.", f"{label}: Well, how did it start?")
    assert [text for text, _, _ in events(found, "speaker")] == [label]
    assert spoken(found) == "Good evening. Well, how did it start?"


def test_a_name_in_small_letters_is_a_speaker_where_it_comes_back() -> None:
    found = track("mary: hello there", "john: hi", "mary: good to see you", "mary: and you too", "so: it was late")
    assert [text for text, _, _ in events(found, "speaker")] == ["mary", "mary", "mary"]
    assert spoken(found).startswith("hello there john: hi good")
    assert "so: it was late" in spoken(found)


def test_a_name_in_brackets_before_speech_is_a_speaker() -> None:
    found = track("[MARY] How are you?", "[APPLAUSE]", "[DR. COLE] Fine. [LAUGHS]", "[JAMES] Good.", "[JAMES] Bye.")
    assert [text for text, _, _ in events(found, "speaker")] == ["MARY", "DR. COLE", "JAMES", "JAMES"]
    assert [text for text, _, _ in events(found, "sound")] == ["[APPLAUSE]", "[LAUGHS]"]
    assert spoken(found) == "How are you? Fine. Good. Bye."


def test_a_language_without_spaces_has_clips_as_any_other() -> None:
    phrase = "一旦你知道它是线性的，我们就能开始引进对偶性的思想了。"
    lines = [phrase.replace("线性", word) for word in ("线性", "矩阵", "函数", "向量", "空间", "图形", "数字", "平面")]
    found = track(*lines, seconds=6.0)
    assert found.punctuated and all(word.end_ms - word.start_ms > 5000 for word in found.words)
    clips, away = plan_track(found, TextConfig(), language="zh")
    assert len(clips) == 4 and away == [None] * 4
