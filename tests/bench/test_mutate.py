"""What the mutation bench changes: code that still parses, says something else, and is the same for the same seed."""

import ast
from pathlib import Path

import pytest

from bench import mutations
from bench.nearest_tests import nearest_tests
from bench.unnoticed import ALIKE, EXPLAINED, TUNING

REPO = Path(__file__).resolve().parents[2]


def test_every_change_parses_and_says_something_else() -> None:
    for mutation in mutations.drawn(seed=3, n=140, areas=list(mutations.AREAS)):
        raw = (REPO / mutation.path).read_bytes()
        changed = raw[: mutation.start] + mutation.new.encode() + raw[mutation.end :]

        assert raw[mutation.start : mutation.end].decode() == mutation.old
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(raw)), mutation


def test_the_seed_decides_what_is_changed() -> None:
    areas = ["engine", "losses"]

    assert mutations.drawn(1, 10, areas) == mutations.drawn(1, 10, areas)
    assert mutations.drawn(1, 10, areas) != mutations.drawn(2, 10, areas)
    assert [m.area for m in mutations.drawn(1, 4, areas)] == ["engine", "losses", "engine", "losses"]


def test_annotations_messages_and_errors_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'def f(a: "int" = 1) -> "int":\n    log.info("%d", 2)\n    zip(a, strict=True)\n    raise ValueError(3)\n'
    source += "class G(TypedDict, total=False): ...\n"
    file = tmp_path / "module.py"
    file.write_text(source)
    monkeypatch.setattr(mutations, "REPO", tmp_path)

    found = mutations.mutations_of("engine", file)

    assert [(m.old, m.new) for m in found] == [("1", "2"), ("zip(a, strict=True)", "pass")]


def test_a_modules_own_tests_come_first() -> None:
    first, *others = nearest_tests("pipeline/engine/run/lock.py")

    assert first == ["tests/pipeline/engine/run/test_lock.py"]
    assert nearest_tests("pipeline/media/checks/__init__.py")[0][0] == "tests/pipeline/media/test_checks.py"
    captions, *_ = nearest_tests("pipeline/text/captions/vtt.py")
    assert "tests/pipeline/text/captions/test_pitfalls.py" in captions, "a whole folder where that is what tests it"
    assert "tests/train/objectives/test_base.py" in nearest_tests("train/objectives/mvm.py")[1], "of all in a registry"
    assert all("e2e" not in name for group in others for name in group)


def test_what_is_explained_is_a_change_that_can_be_drawn() -> None:
    """An entry whose line was rewritten explains nothing any more."""
    for path, line, new in EXPLAINED:
        (area,) = (name for name, places in mutations.AREAS.items() if any(path.startswith(place) for place in places))
        found = [m for m in mutations.mutations_of(area, REPO / path) if m.new == new and mutations.explanation_of(m)]
        assert found, (path, line, new)


def test_each_tuning_constant_is_one_of_its_module() -> None:
    for path, reasons in TUNING.items():
        (area,) = (name for name, places in mutations.AREAS.items() if any(path.startswith(place) for place in places))
        explained = [m for m in mutations.mutations_of(area, REPO / path) if "tuning" in mutations.explanation_of(m)]
        lines = (REPO / path).read_text().splitlines()
        assert explained, path
        for name in reasons:
            assert any(name in lines[m.line - 1] for m in explained), (path, name)


def test_an_operator_or_a_sign_of_a_tuning_constant_is_not_explained() -> None:
    changes = mutations.mutations_of("engine", REPO / "pipeline/engine/store/store.py")
    sizes = {m.new: mutations.explanation_of(m) for m in changes if m.old in ("256 * 1024**2", "256")}

    assert sizes["512"] and not sizes["(256 // 1024 ** 2)"]


def test_what_is_alike_is_explained_wherever_it_stands_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "module.py"
    file.write_text("name = f(3) + uuid.uuid4().hex[:12]\n")
    monkeypatch.setattr(mutations, "REPO", tmp_path)

    found = {m.old: mutations.explanation_of(m) for m in mutations.mutations_of("engine", file)}

    assert {old for old, reason in found.items() if reason} == {"12"}
    assert {old for old, reason in found.items() if not reason} == {"3", "f(3) + uuid.uuid4().hex[:12]"}


def test_what_is_alike_is_found_in_the_code() -> None:
    folders = [REPO / place for places in mutations.AREAS.values() for place in places]
    texts = [file.read_text() for folder in folders for file in folder.rglob("*.py")]
    for pattern, reason in ALIKE:
        assert any(pattern.search(text) for text in texts), reason
