"""The blind sheet holds as many borders of clips as of people and does not tell them apart; the score reads the key."""

import csv
from pathlib import Path

import pytest

from bench.text_by_eye import PEOPLE, PER_TRACK, Border, borders, score, write_sheet


def made_up(track: str, n: int) -> list[Border]:
    return list(borders(track, [f"{track}{i}" for i in range(n + 2)], range(1, n + 1)))


def judged(folder: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    (folder / "wrong.txt").write_text(" ".join(wrong))
    counts = score(folder)
    return counts, " ".join(capsys.readouterr().out.split())


def key(folder: Path) -> dict[str, str]:
    with (folder / "key.tsv").open(newline="") as file:
        return {row[0]: row[1] for row in csv.reader(file, delimiter="\t")}


def test_a_border_is_shown_in_small_letters_without_marks() -> None:
    texts = ["We", "went", "home", ".", "Then,", "WE", "slept."]
    assert [border.line for border in borders("t", texts, [4])] == ["we went home | then we slept"]


def test_the_sheet_mixes_as_many_borders_of_people(tmp_path: Path) -> None:
    write_sheet(tmp_path, [made_up("long", 90), made_up("short", 20)], made_up("person", 200), seed=3)
    kinds = key(tmp_path)
    assert [list(kinds.values()).count(kind) for kind in ("long", "short", PEOPLE)] == [PER_TRACK, 20, 0]
    assert list(kinds.values()).count("person") == PER_TRACK + 20
    lines = (tmp_path / "sheet.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == list(kinds)
    assert not {PEOPLE, "model"} & set(" ".join(lines).split())


@pytest.mark.parametrize(("n_wrong", "counts"), [(4, True), (5, False)])
def test_a_judge_who_calls_more_than_a_twentieth_of_peoples_borders_wrong_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_wrong: int, counts: bool
) -> None:
    write_sheet(tmp_path, [made_up("a", 80), made_up("b", 30)], made_up(PEOPLE, 200), seed=0)
    kinds = key(tmp_path)
    own = [number for number, kind in kinds.items() if kind == "b"][:9]
    people = [number for number, kind in kinds.items() if kind == PEOPLE][:n_wrong]
    counted, printed = judged(tmp_path, own + people, capsys)
    assert counted is counts
    assert "9 of 30 30.0%" in printed
    assert "all tracks 9 of 90 10.0%" in printed
