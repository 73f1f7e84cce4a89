"""`hdvila-train convert IN OUT`: converts published checkpoints to this project's folders, and back."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    source: Annotated[
        Path, typer.Argument(help="An official checkpoint file, or an exported folder to turn into one.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="The folder to write (from a checkpoint, or of a vit), or the .bin/.pt file (from a folder)."
        ),
    ],
    vocab: Annotated[
        Path | None,
        typer.Option("--vocab", help="BERT's vocab.txt, tokenizer.json or their folder, to put into the export."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Leave out unknown keys and fill missing ones at random, instead of refusing."),
    ] = False,
) -> None:
    """Turns an official HD-VILA or SOHO checkpoint into a folder, or such a folder into an official checkpoint; and an
    exported vit into a folder that transformers loads.

    The direction follows from SOURCE: a file is a checkpoint (its keys tell model and stage), a folder is an export.
    Every key has to be accounted for; a mismatch names the keys.
    """
    from train.exports.export import export_official, write_official

    if source.is_dir():
        n_entries = write_official(source, out)
        kind = "towers for transformers" if out.is_dir() else "official checkpoint"
        typer.echo(f"{out}: {kind} of {n_entries} entries")
        return
    n_entries = export_official(source, out, vocab=vocab, partial=partial)
    typer.echo(
        f"{out}: {n_entries} entries; from Python: train.load({str(out)!r}) (SOHO: model.model_weights of a run)"
    )
