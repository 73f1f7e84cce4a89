"""Catalogues: unique ids, the same answer each time; behaviours given to videos."""

from __future__ import annotations

import pytest

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import cast
from miniyoutube.misbehave import BEHAVIOURS

FIRST, SECOND, *_ = a_catalogue(4, misbehaving=0).videos


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_every_behaviour_can_be_given_and_keeps_the_video_its_id(name: str) -> None:
    made = cast(FIRST, name, another_category=17, original=SECOND)
    assert (made.video_id, made.behaviour, made.faults) == (FIRST.video_id, name, BEHAVIOURS[name].faults)


def test_a_reupload_says_and_shows_what_its_original_does() -> None:
    made = cast(FIRST, "reupload", original=SECOND)
    assert (made.copy_of, made.script, made.footage) == (SECOND.video_id, SECOND.script, SECOND.footage)
    with pytest.raises(ValueError, match="needs its original"):
        cast(FIRST, "reupload")
