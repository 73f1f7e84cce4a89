"""The command `hdvila-train`: each verb is a module of train.commands."""

import sys

import typer

from manifests.errors import UserError
from manifests.storage import StorageErrorsExplained
from train.commands.config import config
from train.commands.convert import convert
from train.commands.eval import evaluate
from train.commands.export import export
from train.commands.fit import fit

app = typer.Typer(
    help="Train HD-VILA on shards that hdvila-pipeline made.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("fit")(fit)
app.command("eval")(evaluate)
app.command("config")(config)
app.command("convert")(convert)
app.command("export")(export)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line (sys.argv, or these arguments). What a user can cure is one message and exit code 2."""
    try:
        with StorageErrorsExplained():
            app(arguments)
    except UserError as error:
        print(f"hdvila-train: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
