"""How long words last: longer with their letters, before a pause, and with digits; never without bound."""

import pytest

from pipeline.text.captions.pace import BEFORE_PAUSE, longest_ms, spoken_ms, typical_ms, words_in

MEASURED = [(1, 220), (2, 200), (3, 190), (4, 215), (5, 245), (6, 300), (8, 390), (10, 480), (16, 780)]


@pytest.mark.parametrize(("letters", "ms"), [*MEASURED, (9, 435), (40, 780), (0, 220)])
def test_a_word_lasts_what_was_measured_and_between_two_lengths_their_mean(letters: int, ms: float) -> None:
    assert typical_ms(letters) == pytest.approx(ms)


def test_a_digit_is_as_long_as_three_letters_and_marks_are_not_said() -> None:
    assert spoken_ms("wonderful") == round(BEFORE_PAUSE * typical_ms(9)) == 652
    assert spoken_ms("42") == spoken_ms("sixsix") == spoken_ms("'sixsix,'")
    assert spoken_ms("x" * 99) == spoken_ms("x" * 16) == 1170
    assert longest_ms("abc") == 540


@pytest.mark.parametrize(
    ("text", "n_words"),
    [
        ("word", 1), ("été", 1), ("слово", 1), ("한국어", 1), ("…", 1), ("今天我们来看", 6 / 1.6),
        ("スケール変換", 6 / 1.6), ("คนที่ได้รับ", 11 / 4), ("AI模型", 2 / 1.6),
    ],
)  # fmt: skip
def test_a_phrase_without_spaces_counts_as_the_words_that_take_its_time(text: str, n_words: float) -> None:
    assert words_in(text) == n_words
    if n_words != 1:
        assert spoken_ms(text) == round(n_words * spoken_ms("words")) > spoken_ms("word")
        assert longest_ms(text) == round(n_words * longest_ms("words"))
