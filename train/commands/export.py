"""`hdvila-train export RUN OUT`: a trained model as a folder that people know how to use."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="a run's folder, or one of its checkpoints/step-*")],
    out: Annotated[Path, typer.Argument(help="folder to write; it must not exist yet")],
    best: Annotated[bool, typer.Option("--best", help="the best checkpoint by validation, not the newest")] = False,
) -> None:
    """Write model.safetensors, config.json, tokenizer and model card; the averaged weights where the run kept them."""
    from train.export import export_run

    checkpoint = export_run(run, out, best=best)
    typer.echo(f'{out}: exported from {checkpoint}; from Python: train.load("{out}").embed_text(["a caption"])')
