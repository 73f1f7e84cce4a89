"""An answer as a table, CSV and lines of JSON."""

import csv
import json

import pytest

from pipeline.query.ask import Answer
from pipeline.query.printed import Format, print_answer


def printed(capsys: pytest.CaptureFixture[str], how: Format, columns: list[str], *rows: tuple[object, ...]) -> str:
    print_answer(Answer(columns, iter([rows[:1], rows[1:]])), how)
    return capsys.readouterr().out


ROWS = [('a, "b"\nc', 1, 0.5, None, b"\x00\xff", [1, {"text": "é"}]), ("", 2, float("nan"), True, b"", [])]
COLUMNS = ["text", "n", "share", "kept", "bytes", "list"]


def test_csv_is_read_back_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, Format.CSV, COLUMNS, *ROWS)
    assert list(csv.reader(out.splitlines(keepends=True))) == [
        COLUMNS,
        ['a, "b"\nc', "1", "0.5", "", "00ff", '[1, {"text": "é"}]'],
        ["", "2", "nan", "True", "", "[]"],
    ]


def test_each_line_of_json_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, Format.JSONL, COLUMNS, *ROWS).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"text": 'a, "b"\nc', "n": 1, "share": 0.5, "kept": None, "bytes": "00ff", "list": [1, {"text": "é"}]},
        {"text": "", "n": 2, "share": None, "kept": True, "bytes": "", "list": []},
    ]


def test_a_table_has_a_line_for_each_row_and_numbers_to_the_right(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(capsys, Format.TABLE, ["category", "clips"], ("Music", 7), ("News", 1234)).splitlines()
    assert [line.rstrip() for line in lines] == ["category  clips", "Music         7", "News       1234"]


def test_many_columns_stand_below_each_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = printed(capsys, Format.TABLE, ["name", "what"], ("x" * 30, "y" * 90), ("z", "")).splitlines()
    assert lines[0].split() == ["name", "x" * 30]
    assert max(map(len, lines)) <= 40


def test_a_table_tells_when_it_is_not_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(Answer(["n"], iter([[(i,) for i in range(5000)]])), Format.TABLE)
    out, said = capsys.readouterr()
    assert len(out.splitlines()) < 5000
    assert "--format csv" in said


def test_a_terminal_obeys_no_text_of_the_net(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in printed(capsys, Format.TABLE, ["title"], ("\x1b[2Jgone",))


def test_nothing_found_still_shows_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Format.TABLE, ["video_id", "title"]).split() == ["video_id", "title"]
