"""Finds the test files nearest to a module, which `bench.mutate` runs to see whether a change is noticed."""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.test_structure import WITHOUT_A_TEST_FILE

REPO = Path(__file__).resolve().parent.parent
MOST_OTHERS = 5
"""Number of test files run beside a module's own: those that name it most often."""


def nearest_tests(path: str, root: Path = REPO) -> list[list[str]]:
    """Groups of test files to run for a module: its own or its folder's first, then the few that name it most often.

    The last ones are those in its folder that import the package: they test what all members of a registry share.

    A module without a test file is tested by the files that tests/test_structure.py names for it and by the tests of
    its importers; if no test names it, by those of its room.
    """
    module = Path(path)
    near = root / "tests" / module.parent
    own = near / f"test_{module.stem}.py"
    named = [] if own.exists() else _tests_of_reason(module, root)
    if not own.exists():
        own = near.parent / f"test_{module.parent.name}.py"
    others = [file for file in _naming(module, sorted((root / "tests").rglob("test_*.py"))) if file != own]
    others += [file for file in sorted(near.glob("test_*.py")) if _imports_package(module, file)]
    if not own.exists():
        others += [*_tests_of_importers(module, root), *(sorted(near.glob("test_*.py")) if not others else [])]
    first = [*([own] if own.exists() else []), *named]
    groups = [first, [file for file in dict.fromkeys(others) if file not in first][:MOST_OTHERS]]
    return [[str(f.relative_to(root)) for f in group] for group in groups if group]


def _tests_of_reason(module: Path, root: Path) -> list[Path]:
    """The test files, or all files of a folder, named in the reason why a module has no test file of its own."""
    reasons = [reason for reason, names in WITHOUT_A_TEST_FILE.items() if str(module.with_suffix("")) in names]
    paths = [root / name for reason in reasons for name in re.findall(r"tests/[\w/]+(?:\.py)?", reason)]
    files = [file for path in paths for file in ([path] if path.suffix else sorted(path.glob("test_*.py")))]
    return [file for file in files if file.exists() and "e2e" not in file.parts]


def _naming(module: Path, files: Sequence[Path]) -> list[Path]:
    """Files that import a module, those of its room and those that mention it most often first."""
    dotted = ".".join(module.with_suffix("").parts)
    package, _, name = dotted.rpartition(".")
    words = (f"from {dotted} import", f"import {dotted}", f"from {package} import {name}", f'"{dotted}')
    found = []
    for file in files:
        text = file.read_text()
        if "e2e" not in file.parts and any(word in text for word in words):
            near = file.parent.parts[-len(module.parent.parts) :] == module.parent.parts
            found.append((not near, -len(re.findall(rf"\b{name}\b", text)), file))
    return [file for _, _, file in sorted(found)]


def _imports_package(module: Path, file: Path) -> bool:
    return f"from {'.'.join(module.parent.parts)} import" in file.read_text()


def _tests_of_importers(module: Path, root: Path) -> list[Path]:
    importers = _naming(module, sorted((root / module.parts[0]).rglob("*.py")))
    tests = [root / "tests" / f.relative_to(root).parent / f"test_{f.stem}.py" for f in importers]
    return [file for file in tests if file.exists()]
