"""The command `hdvila-train`: each verb is a module of train.commands."""

import typer

from manifests.commands import PlainErrors
from manifests.errors import StorageErrorsExplained
from manifests.exits import ExitsByTheTable, epilog, epilog_of_all
from manifests.retired import TRAIN
from manifests.version import print_version
from train.commands.check import check
from train.commands.config import config
from train.commands.convert import convert
from train.commands.crossfit import crossfit
from train.commands.embed import embed
from train.commands.eval import evaluate
from train.commands.export import export
from train.commands.fit import fit
from train.commands.init import init

PROGRAM = "hdvila-train"


class _Commands(PlainErrors):
    """All commands of the program."""

    retired = TRAIN


app = typer.Typer(
    cls=_Commands,
    help="Train HD-VILA on shards that hdvila-pipeline made.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    epilog=epilog_of_all(PROGRAM, "fit"),
)
app.command("init", epilog=epilog(PROGRAM, "init"))(init)
app.command("fit", epilog=epilog(PROGRAM, "fit"))(fit)
app.command("check", epilog=epilog(PROGRAM, "check"))(check)
app.command("eval", epilog=epilog(PROGRAM, "eval"))(evaluate)
app.command("embed", epilog=epilog(PROGRAM, "embed"))(embed)
app.command("crossfit", epilog=epilog(PROGRAM, "crossfit"))(crossfit)
app.command("config", epilog=epilog(PROGRAM, "config"))(config)
app.command("convert", epilog=epilog(PROGRAM, "convert"))(convert)
app.command("export", epilog=epilog(PROGRAM, "export"))(export)


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=print_version, is_eager=True),
) -> None:
    """Train HD-VILA on shards that hdvila-pipeline made."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line (sys.argv, or these arguments). Exit codes are those of manifests/exits.py."""
    with ExitsByTheTable(PROGRAM), StorageErrorsExplained():
        app(arguments)


if __name__ == "__main__":
    main()
