"""Ids in the names that yt-dlp gives its files."""

from pathlib import Path

import pytest

from pipeline.crawl.sources.file_names import id_in_name


@pytest.mark.parametrize("name", ["My holiday-interesting.mp4", "a day out (Switzerland).mp4", "one.Information.mp4"])
def test_a_word_of_eleven_letters_is_no_id_unless_in_brackets(name: str) -> None:
    assert id_in_name(Path(name).stem) in ("", "Switzerland")
