"""`hdvila-train config`: prints the keys of a run's YAML, or a YAML with all defaults filled in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from train.config import TrainConfig


def config(
    path: Annotated[
        Path | None, typer.Argument(help="A YAML to check, and print with every default filled in.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="List every key with its default, kind and meaning.")
    ] = False,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
) -> None:
    """Prints the keys of a training run (--schema), or a YAML with its defaults filled in."""
    import yaml

    from manifests.errors import UserError
    from manifests.settings import describe_keys

    if schema:
        from train.config import TrainConfig

        for row in describe_keys(TrainConfig):
            typer.echo(f"{row['key']}  [{row['kind']}, default {row['default']}]\n    {row['doc']}")
        return
    if path is None:
        raise UserError("give a YAML to check, or --schema for the list of keys")
    settings = load_train_config(path, overrides)
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), nl=False)


def load_train_config(path: Path | None, overrides: list[str] | None) -> TrainConfig:
    """The configuration in a YAML with `a.b=c` overrides on top.

    ConfigError for what is wrong; in the sections that no model shapes, before torch is loaded, which takes seconds.
    """
    from manifests.settings import load_config
    from train.sections import Sections

    load_config(Sections, path, overrides)
    from train.config import TrainConfig

    return load_config(TrainConfig, path, overrides)
