"""`hdvila-pipeline config`: every key of a run's configuration, or a check of a configuration."""

import json
import warnings
from pathlib import Path
from typing import Annotated

import typer


def show_config(
    file: Annotated[
        Path | None, typer.Argument(help="A configuration to check; without it, all keys are printed.")
    ] = None,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema.")] = False,
    trust_ydl_opts: Annotated[
        bool, typer.Option("--trust-ydl-opts", help="Allow every yt-dlp option: some can run programs on this machine.")
    ] = False,
) -> None:
    """Prints every key with its default, kind and meaning; with FILE, checks it and prints the result."""
    from rich.console import Console
    from rich.padding import Padding

    from manifests.settings import describe_keys, load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST

    if schema:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # defaults of secrets have no JSON form and are left out
            print(json.dumps(RunConfig.model_json_schema(), indent=2))
        return
    if file is not None:
        print(load_config(RunConfig, file, set_, context={TRUST: trust_ydl_opts}).model_dump_json(indent=2))
        return
    console = Console(highlight=False, markup=False)
    for row in describe_keys(RunConfig):
        console.print(f"{row['key']}: {row['default']}  ({row['kind']})")
        console.print(Padding(row["doc"], (0, 0, 0, 4)))
