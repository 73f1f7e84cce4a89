"""A film that was replaced behind its name is never cut with the other film's text, and a repaired one is noticed."""

import logging
import os
import time
from pathlib import Path

import pytest

from tests.pipeline.crawl.sources.swapped import WIDTHS, cut, lay_out, same_size, swap, two_films
from tests.pipeline.run.small_runs import start


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_films(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def films(drawn: list[Path], tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return lay_out(drawn, tmp_path / "films")


@pytest.mark.slow
def test_films_that_were_swapped_with_their_captions_are_looked_at_anew_before_they_are_cut_again(
    films: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    start(out, films)
    before = sorted(cut(out))
    assert [(width, f"number {k} " in text) for k, (_, width, text) in enumerate(before)] == [(320, True), (336, True)]

    swap(films, ".mp4", ".en.vtt")
    with caplog.at_level(logging.WARNING, "hdvila"):
        start(out, films, redo="media")

    assert sorted((width, text) for _, width, text in cut(out)) == [(width, text) for _, width, text in before]
    (line,) = [record.getMessage() for record in caplog.records if "looked at anew" in record.getMessage()]
    assert "2 files are others" in line and "film-0.mp4, film-1.mp4" in line


@pytest.mark.slow
@pytest.mark.parametrize("same_time", [False, True])
def test_a_film_of_the_same_size_is_known_by_its_time_and_content(
    films: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, same_time: bool
) -> None:
    out = tmp_path / "out"
    same_size(films)
    for film in films.glob("*.mp4") if same_time else ():
        os.utime(film, (1e9, 1e9))
    start(out, films)
    before = sorted((width, text) for _, width, text in cut(out))

    swap(films, ".mp4", ".en.vtt")
    with caplog.at_level(logging.WARNING, "hdvila"):
        start(out, films, redo="media")
        if same_time:
            assert not list(cut(out)), "no clip is cut of a film that is not the one that was looked at"
            start(out, films)
    assert sorted((width, text) for _, width, text in cut(out)) == before
    (line,) = [record.getMessage() for record in caplog.records if "looked at anew" in record.getMessage()]
    assert "2 files are others" in line


@pytest.mark.slow
def test_of_a_film_with_clips_a_run_says_that_it_has_changed(
    films: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    start(out, films)
    before = list(cut(out))
    with (films / "film-1.mp4").open("ab") as file:
        file.write(b"more")

    with caplog.at_level(logging.WARNING, "hdvila"):
        start(out, films)

    (line,) = [record.getMessage() for record in caplog.records]
    assert "1 files have changed since clips were cut" in line and line.endswith(": film-1.mp4")
    assert list(cut(out)) == before


@pytest.mark.slow
@pytest.mark.parametrize("repaired", ["film-1.mp4", "film-1.en.vtt"])
def test_a_repaired_file_under_an_old_name_is_noticed(films: Path, tmp_path: Path, repaired: str) -> None:
    out, file = tmp_path / "out", films / repaired
    good = file.read_bytes()
    file.write_bytes(b"broken") if file.suffix == ".mp4" else file.unlink()
    start(out, films)
    assert len(list(cut(out))) == 1

    file.write_bytes(good)
    soon = time.time() + 2  # a look takes less than the second in which it is recorded
    os.utime(file, (soon, soon))
    start(out, films)

    assert [width for _, width, _ in cut(out)] == list(WIDTHS)
