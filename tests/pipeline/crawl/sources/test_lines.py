"""Files read by line from any byte on."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources.lines import read_lines


def test_reading_on_from_any_line_gives_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes("\ufeffone\r\ntwo\n\nthree".encode() + b"\xff")
    whole = list(read_lines(file))

    assert [line for line, _ in whole] == ["one", "two", "", "three\ufffd"]
    for n, (_, cursor) in enumerate(whole):
        assert list(read_lines(file, cursor)) == whole[n + 1 :]


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        list(read_lines(tmp_path / "nowhere"))
