"""Marks that end a sentence, and those that do not."""

import pytest

from pipeline.text.boundary.marks import sentence_ends


@pytest.mark.parametrize("text", ["U.S. troops", "3.5 percent", "Mr. Fox", "e.g. this"])
def test_31_abbreviations_decimals_and_initials_end_no_sentence(text: str) -> None:
    assert not any(sentence_ends(["We", "saw", *text.split(), "go", "home."])[:-1])


@pytest.mark.parametrize(("begin", "ends"), [(["then", "they", "Then"], True), (["Then", "They", "then"], False)])
def test_a_small_letter_after_dots_says_something_only_where_most_sentences_begin_with_capitals(
    begin: list[str], ends: bool
) -> None:
    words = ["Done.", begin[0], "home.", begin[1], "gone.", begin[2], "wait…", "then", "go."]
    assert sentence_ends(words)[words.index("wait…")] is ends
