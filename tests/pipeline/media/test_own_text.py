"""How much of a clip's text was heard: its own text scores near 1, another's near 0, silence nothing at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.rows import HeardRow, WordRow
from pipeline.media.own_text import NOT_HEARD, is_doubted, share_heard, texts_heard

OWN = "Take two apples, peel them, and cut each into quarters."
OTHER = "The senate voted on the bill late last night, and it passed."


def heard(text: str, from_ms: int, each_ms: int = 300) -> list[WordRow]:
    return [
        {"text": word, "start_ms": from_ms + i * each_ms, "end_ms": from_ms + (i + 1) * each_ms, "timed": True}
        for i, word in enumerate(text.split())
    ]


def clip(n: int, start_ms: int, end_ms: int, text: str) -> Any:
    return {"n": n, "start_ms": start_ms, "end_ms": end_ms, "text": text, "caption_kind": "manual"}


def test_own_text_is_told_from_that_of_another_clip() -> None:
    words = heard("take to apples peal them and cut each in two quarters", 0) + heard(OTHER.lower(), 10_000)
    row: HeardRow = {"video_id": "v", "heard_by": "a model", "language": "en", "words": words}
    clips = [
        clip(0, 0, 3500, OWN),
        clip(1, 10_000, 14_000, OWN),
        clip(2, 10_000, 14_000, OTHER),
        clip(3, 30_000, 34_000, OWN),
    ]
    found = texts_heard(clips, [row])
    assert found.by == "a model"
    assert found.shares[0] > 0.6 and found.shares[2] == 1 and found.shares[1] < 0.3
    assert 3 not in found.shares, "nothing was heard in its time: that says nothing of its text"


def test_without_a_recogniser_or_any_speech_nothing_is_known() -> None:
    row: HeardRow = {"video_id": "v", "heard_by": "a model", "language": "", "words": []}
    assert texts_heard([clip(0, 0, 3500, OWN)], []) == NOT_HEARD
    assert not texts_heard([clip(0, 0, 3500, OWN)], [row]).shares


def test_scripts_without_spaces_are_compared_too() -> None:
    assert share_heard("今日は天気がいいですね。", "今日は天気がいいです") > 0.7
    assert share_heard("今日は天気がいいですね。", "昨日の会議について話します") < 0.4


@given(st.text(), st.text())
def test_a_share_is_between_0_and_1_and_of_the_same_text_1(text: str, other: str) -> None:
    assert 0 <= share_heard(text, other) <= 1
    assert share_heard(text, text) in (0, 1), "0 where there is not one word"


@pytest.mark.parametrize(
    ("text", "said", "doubts"),
    [
        ("it ends here", "Before. It ends here. After that", False),
        ("it ends here", "Before. It ends here and goes on", True),
        ("it ends here", "What comes before it ends here. After", True),
        ("other words", "Before. It ends here and goes on", False),
    ],
)
def test_a_border_is_doubted_where_the_sentence_is_heard_to_go_on(text: str, said: str, doubts: bool) -> None:
    first = 300 * said.lower().split().index("it")
    assert is_doubted(clip(0, first, first + 900, text), heard(said, 0)) == doubts
