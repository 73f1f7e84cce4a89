"""Icons."""

from __future__ import annotations

from miniyoutube.icons import icon
from miniyoutube.script import NOUNS


def test_every_noun_has_a_picture_of_its_own() -> None:
    pictures = {noun: icon(noun).tobytes() for pair in NOUNS.values() for noun in pair}
    assert len(pictures) == 30
    assert len(set(pictures.values())) == 30
