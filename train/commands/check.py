"""`hdvila-train check MANIFEST`: finds the problems that a run would have with a data set, before it is started."""

import json
from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode
from train.commands.config import load_train_config


def check(
    manifest: Annotated[str, typer.Argument(help="A data set's manifest.json or folder: a path or a url.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML of the planned run: its view and choice of samples are used.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
    samples: Annotated[int, typer.Option(help="How many samples of each shard to decode.", min=1)] = 2,
    seconds: Annotated[float, typer.Option(help="Longest time to look, for all splits together.", min=0.1)] = 50.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Reads and decodes a sample of every shard as training would; exits with 1 if some cannot be used.

    Prints problems, and how much a data worker loads per second. Without --config, it uses HD-VILA's own view.
    """
    keys = [*(overrides or []), f"data.manifest={manifest}"]
    given = load_train_config(config, keys) if config else None
    from train.check import check_data, plain_config

    settings = given or plain_config(keys)
    report = check_data(settings, n_samples=samples, seconds=seconds)
    typer.echo(json.dumps(report.flat(), indent=2) if as_json else report.describe())
    if report.problems:
        raise typer.Exit(ExitCode.INCOMPLETE)
