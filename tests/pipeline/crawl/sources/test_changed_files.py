"""A film that was replaced behind its name is never cut with the other film's text, and a run names it."""

import logging
from pathlib import Path

import pytest

from tests.pipeline.crawl.sources.swapped import WIDTHS, cut, lay_out, same_size, swap, two_films
from tests.pipeline.run.small_runs import start


@pytest.mark.slow
def test_a_file_that_was_replaced_is_named_and_not_cut_until_the_folder_is_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "films").mkdir()
    films, out = lay_out(two_films(tmp_path), tmp_path / "films"), tmp_path / "out"
    same_size(films)
    start(out, films)
    before = sorted((width, text) for _, width, text in cut(out))
    assert [width for width, _ in before] == [*WIDTHS]

    swap(films, ".mp4", ".en.vtt")
    with caplog.at_level(logging.WARNING, "hdvila"):
        start(out, films, redo="media")
    (line,) = [record.getMessage() for record in caplog.records if "have changed" in record.getMessage()]
    assert "2 files" in line and "film-0.mp4, film-1.mp4" in line and "--redo folder" in line

    assert not list(cut(out)), "no clip is cut of a film that is not the one that was looked at"
    start(out, films, redo="folder")
    assert sorted((width, text) for _, width, text in cut(out)) == before
