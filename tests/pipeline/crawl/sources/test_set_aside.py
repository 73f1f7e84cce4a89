"""A long list is read once for all of its parts, and again only for what was lost or has changed."""

from pathlib import Path
from unittest import mock

import pytest

from pipeline.config.sources import ListsConfig
from pipeline.crawl.sources import Listed, lists
from pipeline.crawl.sources.lists import END, list_part
from pipeline.crawl.sources.set_aside import forget_rows
from pipeline.engine.store.store import Store
from tests.pipeline.crawl.sources.published import publish

IDS = [f"video{n:06}" for n in range(200)]
PARTS = 10


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "VIDEOS_A_PART", 21)


class Reading:
    """A list that is read part by part."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file, self.here = file, (Store(str(folder)), folder)
        folder.mkdir()
        self.found: list[Listed] = []
        self.cursor = self.n_readings = 0

    def go_on(self, n_parts: int = PARTS) -> "Reading":
        """Reads so many parts, and counts how often the list is read for them."""
        with mock.patch.object(lists, "read_rows", side_effect=lists.read_rows) as reads:
            for _ in range(n_parts):
                part, self.cursor = list_part(str(self.file), ListsConfig(), self.cursor, self.here)
                self.found += part
        self.n_readings = reads.call_count
        return self

    @property
    def files(self) -> list[Path]:
        """What is set aside now."""
        return sorted(Path(self.here[0].root, "lists").rglob("*.zst"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    published = publish("internvid", IDS, tmp_path)
    published.write_text(published.read_text() + "no row\n" + '{"YoutubeID": "no id"}\n')
    return published


@pytest.fixture
def each_by_itself(file: Path) -> list[Listed]:
    """The same without anything set aside."""
    return [row for n in range(PARTS) for row in list_part(str(file), ListsConfig(), n * -(-END // PARTS))[0]]


def test_a_list_is_read_once_for_all_its_parts(file: Path, tmp_path: Path, each_by_itself: list[Listed]) -> None:
    reading = Reading(file, tmp_path / "out").go_on()
    assert reading.cursor == END
    assert reading.found == each_by_itself and len(reading.found) == len(IDS) + 2
    assert reading.n_readings == 1
    assert not reading.files


def test_what_was_lost_is_read_again(file: Path, tmp_path: Path, each_by_itself: list[Listed]) -> None:
    reading = Reading(file, tmp_path / "out").go_on(3)
    assert len(reading.files) == PARTS - 3 + 1, "a part goes when the next is read: its unit may be made again"
    for lost in reading.files[1:3]:
        lost.unlink()
    reading.go_on(1)
    assert reading.n_readings == 1
    forget_rows(reading.here[0])
    assert not reading.files
    reading.go_on(PARTS - 4)
    assert reading.found == each_by_itself
    assert reading.n_readings == 1


def test_a_list_that_has_changed_is_read_again(file: Path, tmp_path: Path) -> None:
    reading = Reading(file, tmp_path / "out").go_on(1)
    file.write_text(file.read_text().replace("caption 1", "another caption"))
    reading.go_on(PARTS - 1)
    assert reading.n_readings == 1
    assert all("another caption" in video.given_spans for video in reading.found[-50:] if video.given_spans)
