"""A stranger's data sets, each with ten commands as a person calls them: exit codes, lines, and what lies beside."""

import contextlib
import importlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home
from bench.hostile_inputs.sets import SETS
from manifests.exits import ExitCode, codes_of

COMMANDS: dict[str, Callable[[str, str, str], list[str]]] = {
    "verify": lambda at, out, ids: ["verify", at],
    "merge": lambda at, out, ids: ["merge", at, "--out", out],
    "remove": lambda at, out, ids: ["remove", at, "--ids", ids],
    "reshard": lambda at, out, ids: ["reshard", at, "--out", out, "--max-samples", "3"],
    "export": lambda at, out, ids: ["export", at, "--out", out],
    "export --exact": lambda at, out, ids: ["export", at, "--exact", "--out", out],
    "audit": lambda at, out, ids: ["audit", at, "--require", "entropy>=0.1"],
    "report": lambda at, out, ids: ["report", at],
    "check": lambda at, out, ids: ["check", at, "--workers", "1"],
}
"""By name: the arguments, from the data set, where to write and a file of ids. `check` is the trainer's."""
IMPORTED = (
    *(f"pipeline.dataset.{name}" for name in ("export", "merge", "remove", "reshard", "verify")),
    "pipeline.report.page",
    "train.check",
)
"""What commands import where they begin: imported before any is tried, so that no input pays for it."""
MOST_LINE = 2000


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields the first `n` of all sets with all commands; there is nothing to draw."""
    run = runner()
    for (name, attack), command in islice(product(SETS.items(), COMMANDS), n):
        yield Case("commands", f"{name} for {command}", lambda f, a=attack, c=command: try_set(run, a, c, f, home))  # type: ignore[misc]


def runner() -> Callable[[str, list[str]], None]:
    """What runs a command line."""
    from manifests.exits import ExitsByTheTable
    from pipeline.cli import app as of_pipeline
    from train.cli import app as of_training

    for name in IMPORTED:
        importlib.import_module(name)
    apps: dict[str, Any] = {"hdvila-pipeline": of_pipeline, "hdvila-train": of_training}

    def run(program: str, arguments: list[str]) -> None:
        with ExitsByTheTable(program):
            apps[program](arguments)

    return run


def try_set(
    run: Callable[[str, list[str]], None], attack: Callable[[Path], None], command: str, folder: Path, home: Home
) -> str:
    """Runs one command on the attacked set. AssertionError for what it may not do; returns how it ended."""
    source, out, ids = folder / "in" / "set", folder / "in" / "out-put", folder / "in" / "ids.txt"
    shutil.copytree(home.data_set, source)
    shutil.copytree(home.data_set, folder / "in" / "victim")
    ids.write_text("video video-00001\n")
    attack(source)
    program = "hdvila-train" if command == "check" else "hdvila-pipeline"
    said, told = io.StringIO(), io.StringIO()
    with untouched(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            run(program, COMMANDS[command](str(source), str(out), str(ids)))
        except SystemExit as ended:
            code = int(ended.code or 0)
    lines = [line for line in told.getvalue().splitlines() if line.startswith(f"{program}: ")]
    _judge(program, command, code, said.getvalue() + told.getvalue(), lines)
    return f"exit {code}"


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """AssertionError if a file below a folder changes, goes or comes that is not in `in/set` or an `in/out-…`."""

    def beside() -> dict[Path, bytes]:
        own = (folder / "in" / "set", *(folder / "in").glob("out-*"))
        files = (Path(top, name) for top, _, names in os.walk(folder) for name in names)
        return {p: p.read_bytes() for p in files if not any(p.is_relative_to(top) for top in own)}

    before = beside()
    yield
    after = beside()
    if changed := sorted(str(p) for p in before.keys() | after.keys() if before.get(p) != after.get(p)):
        raise AssertionError(f"escaped: {changed}")


def _judge(program: str, command: str, code: int, text: str, messages: list[str]) -> None:
    """AssertionError for a traceback, a code that is not in the table, no message or several, an unprintable line."""
    assert "Traceback" not in text and code != ExitCode.INTERNAL, text[-3000:]
    assert code in codes_of(program, command.partition(" ")[0]), f"exit {code}: {text[-1000:]}"
    assert code != ExitCode.USER_ERROR or len(messages) == 1, f"{len(messages)} messages: {text[-1000:]}"
    for line in text.split("\n"):
        assert line.isprintable() and len(line) < MOST_LINE, f"a line nobody can read: {line[:300]!r}"
