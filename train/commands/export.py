"""`hdvila-train export RUN OUT`: exports a trained model as a folder in a familiar layout."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[str, typer.Argument(help="A run's folder or address, or one of its checkpoints/step-*.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    best: Annotated[
        bool, typer.Option("--best", help="Use the best checkpoint by validation, not the newest.")
    ] = False,
) -> None:
    """Writes model.safetensors, config.json, tokenizer and model card; averaged weights if the run kept them."""
    from train.exports.export import export_run
    from train.loop.bucket import at_hand

    checkpoint = export_run(at_hand(run, best=best), out, best=best)
    typer.echo(f'{out}: exported from {checkpoint}; from Python: train.load("{out}").embed_text(["a caption"])')
