"""`hdvila-pipeline browse`: a page over every clip of an output directory."""

from typing import Annotated

import typer


def browse(
    url: Annotated[str, typer.Argument(help="The output directory or data set: a folder or a url.", metavar="DIR")],
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 0,
    host: Annotated[
        str, typer.Option(help="Listen here in the place of loopback: whoever reaches it and has the token can look.")
    ] = "127.0.0.1",
) -> None:
    """Serves a page on this machine, with a token in its address: search, filter and play what was kept, see what was
    rejected and why. It only reads.
    """
    from pipeline.browse.server import serve
    from pipeline.outdir.identity import open_directory

    serve(open_directory(url), host, port)
