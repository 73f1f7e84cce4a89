"""How commands are called and how they end: an example and the exit codes of every command of both programs.

Help texts and docs/reference.md are made from them. A code means the same in all commands; a test checks each example
against the command's own options.
"""

import os
import sys
import traceback
from contextlib import AbstractContextManager
from enum import IntEnum
from io import TextIOWrapper
from types import TracebackType

from manifests.errors import UserError, is_of_a_disk, printable
from manifests.extras import cure

EXAMPLES: dict[str, dict[str, str]] = {
    "hdvila-pipeline": {
        "run": "run run.yaml --set balance.total=100",
        "init": "init folder --out run.yaml",
        "demo": "demo --out out/demo",
        "config": "config run.yaml",
        "doctor": "doctor run.yaml",
        "status": "status out/demo",
        "why": "why dQw4w9WgXcQ --out out/demo",
        "browse": "browse out/demo --port 8000",
        "sql": "sql out/demo 'SELECT category, count(*) FROM videos GROUP BY ALL'",
        "retry": "retry out/demo --reason rate_limited",
        "audit": "audit out/demo --require 'entropy>=0.95' --require 'height_min>=720'",
        "report": "report out/demo --seed 1",
        "cut": "cut film.mp4 --spans spans.jsonl --out clips",
        "verify": "verify out/demo --workers 4",
        "remove": "remove out/demo --ids takedowns.txt --purge",
        "recheck": "recheck run.yaml --sample 1000",
        "merge": "merge out/a out/b --out out/both --drop-duplicates",
        "export": "export out/demo --out out/release",
        "import-images": "import-images captions_val.json --pictures val2014.zip --out out/images",
        "reshard": "reshard out/demo --out out/small --max-samples 100",
        "show": "show transcript captions.en.vtt",
    },
    "hdvila-train": {
        "init": "init demo --out train.yaml",
        "fit": "fit train.yaml --set loop.steps=20",
        "check": "check out/demo --config train.yaml",
        "eval": "eval out/demo/train",
        "embed": "embed out/demo/train out/demo",
        "crossfit": "crossfit train.yaml --out out/crossfit",
        "config": "config --schema",
        "convert": "convert official.pt out/converted",
        "export": "export out/demo/train out/exported",
    },
}
"""By program and command: the arguments after the program's name."""


class ExitCode(IntEnum):
    """An exit code. `.meaning` is one line to display."""

    OK = 0
    INCOMPLETE = 1
    USER_ERROR = 2
    STOPPED = 3
    INTERNAL = 4
    NOTHING_MATCHED = 5
    DRAINED = 75
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What happened and what to do next, in one line."""
        return MEANINGS[self]


MEANINGS = {
    ExitCode.OK: "finished",
    ExitCode.INCOMPLETE: "something is missing or far short of what was asked, or a check found faults; they are named",
    ExitCode.USER_ERROR: "something to correct first: a setting, a path, an argument; one message says what",
    ExitCode.STOPPED: "stopped by the site or the machine (cookies, disk, network, a lock); committed work is kept",
    ExitCode.INTERNAL: "an error of this program; please report it with the output",
    ExitCode.NOTHING_MATCHED: "nothing matched what was asked for",
    ExitCode.DRAINED: "stopped on request, all saved (in training: Ctrl-C): run the same command again (EX_TEMPFAIL)",
    ExitCode.INTERRUPTED: (
        "interrupted (Ctrl-C, in training a second); committed work is kept, and the same command continues from there"
    ),
}

ALWAYS = (ExitCode.OK, ExitCode.USER_ERROR, ExitCode.INTERNAL, ExitCode.INTERRUPTED)
"""Codes with which any command can end."""

_LOCKED = (ExitCode.STOPPED,)
"""For commands that write a data set: another run may hold its directory."""
_RUN = (ExitCode.INCOMPLETE, ExitCode.STOPPED, ExitCode.DRAINED)

COMMANDS: dict[str, dict[str, tuple[ExitCode, ...]]] = {
    "hdvila-pipeline": {
        "run": _RUN,
        "init": (),
        "demo": _RUN,
        "config": (),
        "doctor": (ExitCode.INCOMPLETE,),
        "status": (),
        "why": (ExitCode.NOTHING_MATCHED,),
        "browse": (),
        "sql": (),
        "retry": (ExitCode.NOTHING_MATCHED,),
        "audit": (ExitCode.INCOMPLETE,),
        "report": (),
        "cut": (ExitCode.INCOMPLETE,),
        "verify": (ExitCode.INCOMPLETE,),
        "remove": (ExitCode.INCOMPLETE, ExitCode.NOTHING_MATCHED, *_LOCKED),
        "recheck": (ExitCode.INCOMPLETE, ExitCode.NOTHING_MATCHED, *_LOCKED),
        "merge": _LOCKED,
        "export": _LOCKED,
        "import-images": _LOCKED,
        "reshard": _LOCKED,
        "show": (ExitCode.NOTHING_MATCHED,),
    },
    "hdvila-train": {
        "init": (),
        "fit": (ExitCode.DRAINED,),
        "check": (ExitCode.INCOMPLETE,),
        "eval": (),
        "embed": (),
        "crossfit": (ExitCode.DRAINED,),
        "config": (),
        "convert": (),
        "export": (),
    },
}
"""By program and command: the codes besides those in ALWAYS."""


class NothingMatched(UserError):
    """The command ran but nothing matches what it was asked for. The message says what was searched for, and where."""

    exit_code = ExitCode.NOTHING_MATCHED


class Unresolved(UserError):
    """Something asked for cannot be told from what is here. The message names it; all else that was asked is done."""

    exit_code = ExitCode.INCOMPLETE


def codes_of(program: str, command: str) -> list[ExitCode]:
    """Every code with which a command can end, ascending."""
    return sorted({*ALWAYS, *COMMANDS[program][command]})


def example(program: str, command: str) -> str:
    """A line with an example of a command."""
    return f"Example: {program} {EXAMPLES[program][command]}"


def epilog(program: str, command: str) -> str:
    """The last lines of a command's help: an example and its exit codes, whose meaning the program's own help says."""
    codes = ", ".join(str(int(code)) for code in codes_of(program, command))
    return f"{example(program, command)}\n\nExit codes: {codes} (`{program} --help` says what they mean)"


def epilog_of_all(program: str, command: str) -> str:
    """The last lines of a program's help: an example, and a line per exit code."""
    return "\n\n".join([example(program, command), "Exit codes:", *(f"{c:>3}  {c.meaning}" for c in ExitCode)])


_OF_A_PATH = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


class ExitsByTheTable(AbstractContextManager[None]):
    """Wraps a program's commands: any exception ends the process with the exit code of the table.

    A UserError prints one message, and so does a path that the system cannot open, a disk that is full or failing, or
    an extra that is not installed; anything else keeps its traceback.
    """

    def __init__(self, program: str) -> None:
        self._program = program

    def __enter__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files hold any bytes; stderr does it already

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UserError):
            self._say(str(error))
            raise SystemExit(int(error.exit_code)) from None
        if isinstance(error, KeyboardInterrupt) or _is_exit(error, ExitCode.INTERRUPTED):
            self._say(f"interrupted; {ExitCode.INTERRUPTED.meaning.partition('; ')[2]}")
            raise SystemExit(int(ExitCode.INTERRUPTED)) from None
        if isinstance(error, _OF_A_PATH) and error.filename:
            name = printable(os.fsdecode(error.filename))  # a name may contain any bytes
            self._say(
                f"{name}: {str(error.strerror).lower()}; restore or correct it (`verify` names all that is missing)"
            )
            raise SystemExit(int(ExitCode.USER_ERROR)) from None
        if error is not None and is_of_a_disk(error):
            self._say(f"{error}; free some space on that disk, or look at it, and run the same command again")
            raise SystemExit(int(ExitCode.USER_ERROR)) from None
        if isinstance(error, ImportError) and (needed := cure(error, self._program)):
            self._say(f"{error}; this needs: {needed}")
            raise SystemExit(int(ExitCode.USER_ERROR)) from None
        if isinstance(error, Exception):
            traceback.print_exception(error)
            self._say(ExitCode.INTERNAL.meaning)
            raise SystemExit(int(ExitCode.INTERNAL)) from None

    def _say(self, message: str) -> None:
        print(f"{self._program}: {message}", file=sys.stderr)


def _is_exit(error: BaseException | None, code: ExitCode) -> bool:
    return isinstance(error, SystemExit) and error.code == code
