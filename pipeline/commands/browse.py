"""`hdvila-pipeline browse`: a page over every clip of an output directory."""

from pathlib import Path
from typing import Annotated

import typer


def browse(
    url: Annotated[str, typer.Argument(help="The output directory or data set: a folder or a url.", metavar="DIR")],
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 0,
    host: Annotated[
        str, typer.Option(help="Listen here in the place of loopback: whoever reaches it and has the token can look.")
    ] = "127.0.0.1",
    marks: Annotated[
        Path, typer.Option(help="The file of what you mark, with who and when; it need not be there yet.")
    ] = Path("marks.jsonl"),
    model: Annotated[
        Path | None,
        typer.Option(
            help="A folder of `hdvila-train export RUN OUT --format onnx`: sentences are looked for by its text tower."
        ),
    ] = None,
    review: Annotated[
        int, typer.Option(help="Draw so many clips, evenly over categories, to judge blindly.", min=0, max=10_000)
    ] = 0,
    review_of: Annotated[str, typer.Option(help="What is drawn from, as the page's line of words.")] = "status:kept",
    seed: Annotated[int, typer.Option(help="Seed of the draw.", min=0)] = 0,
) -> None:
    """Serves a page on this machine, with a token in its address: search, filter and play what was kept, see what was
    rejected and why. Of the data set it only reads.
    """
    from functools import partial

    from pipeline.browse.marks import Marks
    from pipeline.browse.review import Drawn
    from pipeline.browse.server import serve
    from pipeline.outdir.identity import open_directory

    path = marks.with_name(f"review-{seed}.jsonl")
    draw = partial(Drawn.begun, path, line=review_of, seed=seed, n=review) if review else None
    serve(open_directory(url), host, port, Marks(marks), draw, model)
