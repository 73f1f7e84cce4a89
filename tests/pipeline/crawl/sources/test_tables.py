"""The rows of a list in every kind of file, and files that are none."""

import json
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.crawl.sources import tables
from pipeline.crawl.sources.tables import read_rows

VIDEO = "dQw4w9WgXcQ"


def rows_of(file: Path, content: str | bytes) -> list[object]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(str(file)))


def test_cells_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    made = rows_of(tmp_path / "t.csv", '\ufeffurl,caption\r\nhttp://a/1,"one, ""two""\nthree"\r\nhttp://a/2,\r\n')
    assert made == [{"url": "http://a/1", "caption": 'one, "two"\nthree'}, {"url": "http://a/2"}]


@pytest.mark.parametrize("first", [f"{VIDEO},12", f"x,https://youtu.be/{VIDEO}"])
def test_a_csv_may_lack_a_row_of_names(tmp_path: Path, first: str) -> None:
    assert rows_of(tmp_path / "t.csv", first + "\n")[0] in ({"url": VIDEO}, {"url": f"https://youtu.be/{VIDEO}"})


def test_a_row_of_names_is_none_of_ids(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "t.csv", f"description,id\nwords,{VIDEO}\n") == [{"description": "words", "id": VIDEO}]


def test_what_is_no_row_is_given_as_its_text(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "t.jsonl", '[1]\n\n{"id": "a"}\nnonsense\n') == ["[1]", {"id": "a"}, "nonsense"]
    deep = "[" * 200_000
    assert rows_of(tmp_path / "t.jsonl", f"{deep}\n{json.dumps({'id': 'b'})}\n") == [deep, {"id": "b"}]


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 1000)
    made = rows_of(tmp_path / "t.jsonl", '{"id": "' + "x" * 5000 + '"}\n{"id": "b"}\n')
    assert made[-1] == {"id": "b"} and len(made) == 7
    made = rows_of(tmp_path / "t.csv", 'id\n"' + "x" * 5000 + "\na\nb\n")
    assert len(made) < 8 and all(len(str(row)) < 1100 for row in made), "a quote without an end swallows some lines"


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.parquet", b"x"), ("t.csv.gz", b"no gzip"), ("t.jsonl.zst", b"no zstd"), ("none.csv", None)],
)
def test_a_file_that_cannot_be_read_is_one_message(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        list(read_rows(str(tmp_path / name)))
