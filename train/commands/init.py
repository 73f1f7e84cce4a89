"""`hdvila-train init`: a commented configuration to start from."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.commands import no_start, write_start

STARTS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "starts").glob("*.yaml"))}
"""Configurations that load as they stand, by name. Each names itself `train.yaml` where it says how it is run."""


def start_of(word: str) -> str:
    """The start that a word names. typer.BadParameter, with the nearest one, if it names none."""
    if word not in STARTS:
        raise no_start(word, STARTS)
    return word


def init(
    start: Annotated[
        str, typer.Argument(help="What the run trains.", parser=start_of, metavar="|".join(STARTS))
    ] = "demo",
    file: Annotated[
        Path, typer.Option("--out", help="The file to write; an existing file is never overwritten.")
    ] = Path("train.yaml"),
) -> None:
    """Writes a commented YAML to start from: the demo's training, each model as published, fine-tuning, answers."""
    text = STARTS[start].read_text(encoding="utf-8")
    write_start(file, text.replace("train.yaml", str(file)), "hdvila-train fit")
