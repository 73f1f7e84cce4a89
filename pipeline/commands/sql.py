"""`hdvila-pipeline sql`: a question to the tables of an output directory."""

import os
import sys
from typing import Annotated

import typer

from pipeline.query.printed import Format


def sql(
    url: Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")],
    query: Annotated[str, typer.Argument(help="One SELECT in DuckDB's SQL.", metavar="SELECT")],
    format_: Annotated[
        Format | None, typer.Option("--format", help="Without it: a table on a terminal, csv for another program.")
    ] = None,
) -> None:
    """Answers a SELECT on the tables: videos, clips, packs, rejects, captions, transcripts, samples and others.

    `SHOW TABLES` lists them, `DESCRIBE clips` their columns. Nothing is written but a cache in ~/.cache/hdvila.
    """
    from pipeline.outdir.identity import open_directory
    from pipeline.query.ask import ask
    from pipeline.query.printed import print_answer

    with ask(open_directory(url), query) as answer:
        try:
            print_answer(answer, format_ or (Format.TABLE if sys.stdout.isatty() else Format.CSV))
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads it has read enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
