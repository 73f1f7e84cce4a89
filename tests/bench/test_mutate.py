"""What the mutation bench changes: code that still parses, says something else, and is the same for the same seed."""

import ast
from pathlib import Path

import pytest

from bench import mutate

REPO = Path(__file__).resolve().parents[2]


def test_every_change_parses_and_says_something_else() -> None:
    for mutation in mutate.drawn(seed=3, n=140, areas=list(mutate.AREAS)):
        raw = (REPO / mutation.path).read_bytes()
        changed = raw[: mutation.start] + mutation.new.encode() + raw[mutation.end :]

        assert raw[mutation.start : mutation.end].decode() == mutation.old
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(raw)), mutation


def test_the_seed_decides_what_is_changed() -> None:
    areas = ["engine", "losses"]

    assert mutate.drawn(1, 10, areas) == mutate.drawn(1, 10, areas)
    assert mutate.drawn(1, 10, areas) != mutate.drawn(2, 10, areas)
    assert [m.area for m in mutate.drawn(1, 4, areas)] == ["engine", "losses", "engine", "losses"]


def test_annotations_messages_and_errors_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'def f(a: "int" = 1) -> "int":\n    log.info("%d", 2)\n    raise ValueError(3)\n'
    file = tmp_path / "module.py"
    file.write_text(source)
    monkeypatch.setattr(mutate, "REPO", tmp_path)

    found = mutate.mutations_of("engine", file)

    assert [(m.old, m.new) for m in found] == [("1", "2")]


def test_a_modules_own_tests_come_first() -> None:
    first, *others = mutate.nearest_tests("pipeline/engine/lock.py")

    assert first == ["tests/pipeline/engine/test_lock.py"]
    assert mutate.nearest_tests("pipeline/media/checks/look.py")[0][0] == "tests/pipeline/media/test_checks.py"
    captions, *_ = mutate.nearest_tests("pipeline/text/captions/vtt.py")
    assert "tests/pipeline/text/captions/test_pitfalls.py" in captions, "a whole folder where that is what tests it"
    assert all("e2e" not in name for group in others for name in group)


def test_what_is_explained_is_a_change_that_can_be_drawn() -> None:
    """An entry whose line was rewritten explains nothing any more."""
    for path, line, new in mutate.EXPLAINED:
        (area,) = (name for name, places in mutate.AREAS.items() if any(path.startswith(place) for place in places))
        found = [m for m in mutate.mutations_of(area, REPO / path) if m.new == new and mutate.explanation_of(m)]
        assert found, (path, line, new)
