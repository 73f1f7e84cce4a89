"""Phrases of hostile titles are words and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.phrases import phrases_of


@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=4))
def test_a_phrase_is_a_few_words_whatever_a_title_holds(title: str, about: list[str]) -> None:
    for phrase in phrases_of(title, about):
        assert len(phrase.split()) <= 3
        assert len(phrase) <= 80
        assert not set(phrase) & set('/\\"<>@#:-+|.,\n\x00\u202e')
        assert phrase == phrase.casefold()


@pytest.mark.parametrize(
    "title",
    [
        "mail me@somewhere.example",
        "https://evil.example/x?y=z now",
        "0043 1 5551234567",
        "-before:2009",
        r"¯\_(ツ)_/¯",
    ],
)
def test_addresses_numbers_and_operators_are_no_words(title: str) -> None:
    assert phrases_of(title, []) == set()


def test_words_of_other_scripts_are_whole() -> None:
    assert phrases_of("हिन्दी गीत", ["сова"]) == {"हिन्दी गीत", "сова"}
