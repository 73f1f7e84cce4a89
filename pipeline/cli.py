"""`hdvila-pipeline`: the commands, each in a module of its own under pipeline/commands.

Exit codes are defined in manifests/exits.py. Only the requested command is imported, and it imports heavy modules
inside its function, so that `cut` of one clip does not spend its time on imports and needs neither Ray nor yt-dlp.
"""

import atexit
import gc
import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from manifests.commands import PlainErrors
from manifests.errors import StorageErrorsExplained
from manifests.exits import ExitsByTheTable, epilog, epilog_of_all
from manifests.retired import PIPELINE
from manifests.version import print_version
from pipeline.engine.run.memory import return_freed_memory
from pipeline.engine.run.progress import set_up_logging

PROGRAM = "hdvila-pipeline"

_COLLECT_AFTER = 20_000
"""Objects made before Python looks for unused ones in cycles (700 by default): importing makes many, which all stay."""

GROUPS = {
    "Run": {
        "init": "init:init",
        "config": "config:show_config",
        "doctor": "doctor:doctor",
        "run": "run:run",
        "demo": "demo:demo",
    },
    "Look": {
        "status": "status:status",
        "why": "why:why",
        "browse": "browse:browse",
        "sql": "sql:sql",
        "report": "report:report",
        "audit": "audit:audit",
        "verify": "verify:verify",
        "show": "show:show_app",
    },
    "Mend": {"retry": "retry:retry", "remove": "remove:remove", "recheck": "recheck:recheck"},
    "Share": {
        "merge": "merge:merge",
        "reshard": "reshard:reshard",
        "export": "export:export",
        "cut": "cut:cut",
        "import-images": "import_images:import_images",
    },
}
"""By what they are for, and by name, in the order of the help and of README: the module under pipeline/commands, and
the function in it (or a Typer).
"""

GROUP_OF = {name: group for group, commands in GROUPS.items() for name in commands}


class _WhenAskedFor(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        group = GROUP_OF[name]
        module, _, function = GROUPS[group][name].partition(":")
        command = getattr(import_module(f"pipeline.commands.{module}"), function)
        alone = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
        if isinstance(command, typer.Typer):
            alone.add_typer(command, name=name, epilog=epilog(PROGRAM, name), rich_help_panel=group)
            return get_command(alone).commands[name]  # type: ignore[attr-defined]
        alone.command(name, epilog=epilog(PROGRAM, name), rich_help_panel=group)(command)
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(GROUP_OF)

    def __len__(self) -> int:
        return len(GROUP_OF)


class _Commands(PlainErrors):
    """All commands of the program."""

    retired = PIPELINE

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _WhenAskedFor()  # type: ignore[assignment]


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Crawl, balance, cut and shard: from YouTube, a list of ids or a folder to WebDataset shards.",
    epilog=epilog_of_all(PROGRAM, "demo"),
)


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show debug lines.")] = False,
    log_json: Annotated[
        Path | None, typer.Option(help="Also append the log to this file, as lines of JSON.", metavar="FILE")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Crawl, balance, cut and shard: from YouTube, a list of ids or a folder to WebDataset shards."""
    set_up_logging(verbose=verbose, json_file=log_json)


def main() -> None:
    """Runs the command that the arguments name."""
    gc.set_threshold(_COLLECT_AFTER)
    return_freed_memory()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looked for in each installed distribution: 10 ms
    atexit.register(gc.freeze)  # at exit a last collection over everything loaded would take 60 ms
    with ExitsByTheTable(PROGRAM), StorageErrorsExplained():
        app()
