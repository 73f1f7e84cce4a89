"""Runs the tests nearest to the module that is changed and not committed, until one notices the change.

    python -m bench.nearest_tests

The module's own test file comes first, then the few files that name the module most often, then their slow tests. A
test that fails without the change too notices nothing. Exit code 1 if a test noticed; the last line says which.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
MOST_OTHERS = 5
"""Number of test files run beside a module's own: those that name it most often."""
MOST_SLOW = 2
"""Number of those whose slow tests are run."""
LEFT_OUT = "not long and not learn and not gpu"
TEST_LIMIT_S = 90
"""Time limit for one test, s: a change may make a loop endless."""
NOTHING_RAN = 5
"""pytest's exit code where no test is chosen."""


def noticed(path: str) -> tuple[str, int]:
    """(the test that fails only with the change in the file, "" if none does; how many calls of pytest passed)."""
    first, *others = nearest_tests(path)
    calls = [(group, "not slow") for group in (first, *others)]
    calls += [(first, "slow"), *((group[:MOST_SLOW], "slow") for group in others)]
    broken: set[str] = set()
    n_passed = 0
    for tests, which in calls:
        while (code := _run(tests, which, broken))[0] not in (0, NOTHING_RAN):
            if not _fails_without(path, code[1], which):
                return code[1], n_passed
            if code[1] in tests:
                break
            broken.add(code[1])
        n_passed += code[0] == 0
    return "", n_passed


def _run(tests: Sequence[str], which: str, without: Iterable[str] = ()) -> tuple[int, str]:
    """(pytest's exit code, the first test that fails, or the first file if pytest names none)."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    command += [f"--timeout={TEST_LIMIT_S}", "-m", f"{LEFT_OUT} and {which}", *tests]
    command += [f"--deselect={name}" for name in without]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return done.returncode, failures[0].partition(" ")[2].partition(" - ")[0] if failures else tests[0]


def _fails_without(path: str, test: str, which: str) -> bool:
    """Whether a test fails with the file as it is committed, too."""
    changed = (REPO / path).read_bytes()
    subprocess.run(["git", "checkout", "-q", "--", path], cwd=REPO, check=True)
    try:
        return _run([test], which)[0] not in (0, NOTHING_RAN)
    finally:
        (REPO / path).write_bytes(changed)


def nearest_tests(path: str, root: Path = REPO) -> list[list[str]]:
    """Groups of test files to run for a module: its own or its folder's first, then the few that name it most often.

    The last ones are those in its folder that import the package: they test what all members of a registry share.

    A module without a test file is tested by the tests of its importers; if no test names it, by those of its room.
    """
    module = Path(path)
    near = root / "tests" / module.parent
    own = near / f"test_{module.stem}.py"
    if not own.exists():
        own = near.parent / f"test_{module.parent.name}.py"
    others = [file for file in _naming(module, sorted((root / "tests").rglob("test_*.py"))) if file != own]
    others += [file for file in sorted(near.glob("test_*.py")) if _imports_package(module, file)]
    if not own.exists():
        others += [*_tests_of_importers(module, root), *(sorted(near.glob("test_*.py")) if not others else [])]
    first = [own] if own.exists() else []
    groups = [first, [file for file in dict.fromkeys(others) if file not in first][:MOST_OTHERS]]
    return [[str(f.relative_to(root)) for f in group] for group in groups if group]


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


def main() -> int:
    """Runs the command; returns 1 if a test noticed the change."""
    changed = subprocess.run(["git", "diff", "--name-only"], cwd=REPO, capture_output=True, text=True, check=True)
    path = changed.stdout.strip()
    test, n_passed = noticed(path)
    if test:
        print(f"by {test}")
        return 1
    print("no test noticed" if n_passed else "no test near it passes as it is")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
