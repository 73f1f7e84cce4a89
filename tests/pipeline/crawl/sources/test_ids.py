"""Lists of ids: read from any line, and missed by name."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources import ids
from pipeline.crawl.sources.ids import read_lines

VIDEO = "dQw4w9WgXcQ"


def test_a_list_of_ids_goes_on_from_any_line(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(f"# mine\n{VIDEO}\n\nhttps://youtu.be/aaaaaaaaaaa # why\nnonsense\n")
    whole = list(ids.list_file(path, 0))
    assert [one.video_id for one, _ in whole] == [VIDEO, "aaaaaaaaaaa", "nonsense"]
    rest = list(ids.list_file(path, whole[0][1]))
    assert [one.video_id for one, _ in rest] == ["aaaaaaaaaaa", "nonsense"]


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(ids.list_file(tmp_path / "none.txt", 0))


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
