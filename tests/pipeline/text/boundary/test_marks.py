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


@pytest.mark.parametrize(
    ("word", "following", "ends", "ends_uncased"),
    [
        ("said.", "then", True, True),
        ('said."', "then", False, True),
        ('said."', "Then", True, True),
        ("said?", "then", True, True),
        ('said?"', "then", False, True),
        ("wait…", "then", False, True),
        ("wait…", "Then", True, True),
        ("wait..", "then", False, True),
        ("...", "then", False, True),
        ("Dr.", "The", False, False),
        ("St.", "The", True, True),
        ("St.", "Paul", False, False),
        ("etc.", "Paul", True, True),
        ("etc.", "paul", False, False),
        ("vol.", "The", True, True),
        ("vol.", "Paul", False, False),
        ("No.", "5", False, False),
        ("No.", "Then", True, True),
        ("J.", "Smith", False, False),
        ("J.", "The", True, True),
        ("I.", "Smith", True, True),
        ("U.S.", "Army", False, False),
        ("U.S.", "It’s", True, True),
        ("U.S.", "it's", False, False),
        ("p.m.", "Paul", True, True),
        ("p.m.", "paul", False, False),
        ("e.g.", "Paul", False, False),
        ("x.", "then", False, True),
        ("xy.", "then", True, True),
        ("done", "Then", False, False),
        ("done。", "then", True, True),
        ("end.", "", True, True),
        ("2.", "Then", True, True),
    ],
)
def test_what_ends_a_sentence_by_the_word_that_follows_and_whether_sentences_begin_with_capitals(
    word: str, following: str, ends: bool, ends_uncased: bool
) -> None:
    rest = [following] if following else []
    cased = ["Then", "go.", "Now", "go.", "And", "go.", "And", word, *rest]
    uncased = ["then", "go.", "now", "go.", "and", "go.", "and", word, *rest]

    assert sentence_ends(cased)[7] is ends
    assert sentence_ends(uncased)[7] is ends_uncased


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        ("3.", False),
        ("300.", False),
        ("(12.)", False),
        ("(12).", False),
        ("12).", False),
        ("3000.", True),
        ("3.5.", True),
    ],
)
def test_a_number_that_begins_a_sentence_with_a_dot_counts_its_points(number: str, ends: bool) -> None:
    assert sentence_ends(["Done.", number, "Then", "go."])[1] is ends
    assert sentence_ends([number, "Then", "go."])[0] is ends
    assert sentence_ends(["About", number, "Then", "go."])[1], "inside a sentence it is a number"
