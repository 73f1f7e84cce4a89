"""Catalogues of a few videos, each of which behaves in its own way."""

from collections.abc import Sequence
from dataclasses import replace

from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue, cast
from miniyoutube.misbehave import BEHAVIOURS


def one_of_each(behaviours: Sequence[str] = tuple(BEHAVIOURS)) -> Catalogue:
    """Makes a video of each behaviour in the same category, by name: to test each row of the table.

    The first video (`good`) is the original of a re-upload, which is on another channel; the video of a wrong category
    is listed there too.
    """
    category_id = 27
    original = a_video(0, (category_id, 0), 8)
    videos = [original]
    for n, name in enumerate(behaviours, 1):
        plain = a_video(0, (category_id, 8 * n), 8)
        videos.append(cast(plain, name, another_category=category_id, original=original))
    strays = [replace(v, category_id=28) if v.behaviour == "wrong_category" else v for v in videos]
    return Catalogue(tuple(strays))
