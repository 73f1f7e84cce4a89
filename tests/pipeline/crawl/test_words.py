"""Which words of kept videos become searches: those that several channels of a category share, in whatever order."""

from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import pytest

from hdvila_testing.rows import a_video_row, commit_rows
from manifests.rows import VideoRow
from pipeline.crawl import words
from pipeline.crawl.grown import GrownSearch
from pipeline.crawl.words import KeptWords
from pipeline.engine.store.store import Store

MUSIC, PETS = 10, 15
KEPT = [
    *[(MUSIC, n, f"Guitar chords, lesson {n}", ["slide guitar"] if n % 2 else []) for n in range(6)],
    *[(MUSIC, 6, f"My own song | take {n}", []) for n in range(9)],  # a channel alone
    *[(category, n, "gone fishing", []) for category in (MUSIC, PETS) for n in range(10, 14)],
    *[(PETS, n, "Owl carving", ["Owl nest box"] if n else []) for n in range(5)],
]


def video(n: int, category: int, channel: int, title: str, about: list[str]) -> VideoRow:
    return a_video_row(f"video-{n:05}", category_id=category, channel_id=f"UC{channel}", title=title, about=about)


VIDEOS = [video(n, *facts) for n, facts in enumerate(KEPT)]


def grown(folder: Path, parts: Iterable[list[VideoRow]], n: int = 50, known: tuple[str, ...] = ()) -> list[GrownSearch]:
    """What grows from videos that were committed in these parts, with a look after each."""
    store = Store(str(folder))
    kept = KeptWords(store)
    for number, rows in enumerate(parts):
        commit_rows(store, "extract", f"u{number}", {"videos": rows})
        kept.update()
    return kept.grow({MUSIC: n, PETS: n}, [(MUSIC, text) for text in known])


def test_phrases_of_a_category_that_several_channels_share_are_searched_for(tmp_path: Path) -> None:
    found = {search.words: search for search in grown(tmp_path, [VIDEOS])}
    assert found.keys() == {"guitar chords", "slide guitar", "owl carving", "owl nest box"}
    assert set(found["slide guitar"].video_ids) == {"video-00001", "video-00003", "video-00005"}


def test_the_best_come_first_and_none_comes_twice(tmp_path: Path) -> None:
    assert [s.words for s in grown(tmp_path / "a", [VIDEOS], n=1)] == ["guitar chords", "owl carving"]
    left = [s.words for s in grown(tmp_path / "b", [VIDEOS], n=1, known=("Chords: GUITAR",))]
    assert left == ["slide guitar", "owl carving"]


@pytest.mark.parametrize("sample", [4_000, 9])
def test_the_order_of_verdicts_changes_nothing(tmp_path: Path, sample: int) -> None:
    with mock.patch.object(words, "SAMPLE", sample):
        whole = grown(tmp_path / "a", [VIDEOS])
        turned = VIDEOS[::-1]
        assert grown(tmp_path / "b", [turned[:7], turned[7:8], turned[8:]]) == whole
        assert whole
