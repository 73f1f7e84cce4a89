"""Marks that end a sentence, and those that do not."""

import pytest

from pipeline.text.boundary.marks import sentence_ends


@pytest.mark.parametrize("text", ["U.S. troops", "3.5 percent", "Mr. Fox", "e.g. this"])
def test_31_abbreviations_decimals_and_initials_end_no_sentence(text: str) -> None:
    assert not any(sentence_ends(["We", "saw", *text.split(), "go", "home."])[:-1])
