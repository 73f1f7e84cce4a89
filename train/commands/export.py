"""`hdvila-train export RUN OUT`: exports a trained model as a folder in a familiar layout."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    run: Annotated[str, typer.Argument(help="A run's folder or address, or one of its checkpoints/step-*.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    best: Annotated[
        bool, typer.Option("--best", help="Use the best checkpoint by validation, not the newest.")
    ] = False,
    form: Annotated[
        Literal["auto", "onnx"],
        typer.Option("--format", help="auto: with code for AutoModel (of an HD-VILA); onnx: and both towers as ONNX."),
    ] = "auto",
) -> None:
    """Writes model.safetensors, config.json, tokenizer and model card; averaged weights if the run kept them."""
    from train.exports.export import export_run, use_of
    from train.loop.bucket import at_hand

    if form == "onnx":
        import onnx  # noqa: F401  (that it is installed is to be known before the work)
        import onnxscript  # noqa: F401
    checkpoint = export_run(at_hand(run, best=best), out, best=best, onnx=form == "onnx")
    typer.echo(f"{out}: exported from {checkpoint}; {use_of(out)}")
