"""`hdvila-train check MANIFEST`: what a run would meet in a data set, before it is started."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode


def check(
    manifest: Annotated[str, typer.Argument(help="manifest.json of a data set, or its folder; a path or an address")],
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML of the run that is planned: its view, stride, vocabulary")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="a key of the YAML to replace: a.b=c")] = None,
    samples: Annotated[int, typer.Option(help="samples of each shard that are decoded", min=1)] = 2,
    seconds: Annotated[float, typer.Option(help="longest time to look, all splits together", min=0.1)] = 50.0,
    workers: Annotated[int, typer.Option(help="data workers to quote rates for; 0: one a core", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Read, decode and tokenise a sample of every shard, as training would; exit 1 where something can't be used.

    Prints problems, the mix of categories, lengths, words, and what workers load a second. Without --config: HD-VILA's
    own view, and a vocabulary made of the captions.
    """
    from manifests.settings import load_config
    from train.check import check_data, plain_config
    from train.config import TrainConfig

    keys = [*(overrides or []), f"data.manifest={manifest}"]
    settings = load_config(TrainConfig, config, keys) if config else plain_config(keys)
    report = check_data(settings, n_samples=samples, seconds=seconds, n_workers=workers or os.cpu_count() or 1)
    typer.echo(json.dumps(report.flat(), indent=2) if as_json else report.describe())
    if report.problems:
        raise typer.Exit(ExitCode.INCOMPLETE)
