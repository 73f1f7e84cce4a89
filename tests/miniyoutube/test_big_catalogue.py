"""The big catalogue: unequal, a third of it misbehaves, and its ends are known."""

from __future__ import annotations

from collections import Counter

from miniyoutube.big_catalogue import a_catalogue, category_sizes, expected_ends, reachable
from miniyoutube.misbehave import BEHAVIOURS, EDITED
from tests.miniyoutube.renditions import sentences_of


def test_the_big_catalogue_is_unequal_and_a_third_of_it_misbehaves() -> None:
    catalogue = a_catalogue(2000)
    sizes = Counter(video.category_id for video in catalogue.videos)
    assert sum(sizes.values()) == 2000
    assert sizes == Counter(category_sizes(2000))
    assert max(sizes.values()) > 30 * min(sizes.values())
    bad = [video for video in catalogue.videos if video.behaviour != "good"]
    assert len(bad) == 667
    counts = Counter(video.behaviour for video in bad)
    assert set(counts) == {name for name, row in BEHAVIOURS.items() if not row.slow and name not in ("good", *EDITED)}
    assert all(n == 2 for name, n in counts.items() if BEHAVIOURS[name].expected.pauses)
    assert sum(BEHAVIOURS[name].expected.stage == "media" for name in counts) >= 8, "some only at the fetch"
    assert len({video.footage for video in catalogue.videos}) <= 8, "ids share media files"


def test_the_big_catalogues_words_differ_from_video_to_video() -> None:
    texts = Counter(" ".join(sentences_of(v.script)) for v in a_catalogue(1000).videos if v.behaviour != "reupload")
    assert max(texts.values()) <= 2
    assert all(texts), "every video says something"


def test_the_expected_ends_count_up() -> None:
    catalogue = a_catalogue(600)
    ends, kept = expected_ends(catalogue), reachable(catalogue)
    assert set(ends) == set(catalogue.by_id)
    assert sum(len(ids) for ids in kept.values()) == sum(end.kept_in_the_end for end in ends.values())
