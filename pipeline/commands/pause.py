"""`hdvila-pipeline pause` and `resume`: hold a live run without ending it."""

from typing import Annotated

import typer

OutDir = Annotated[str, typer.Argument(help="The output directory: a folder or a url.", metavar="DIR")]


def pause(url: OutDir) -> None:
    """Holds a run, even one that starts later: no new unit begins until `resume`; those in flight finish."""
    _ask(url, paused=True)
    print(f"{url}: paused; `hdvila-pipeline resume {url}` continues it")


def resume(url: OutDir) -> None:
    """Lets a paused run continue; it does within a few seconds."""
    _ask(url, paused=False)
    print(f"{url}: resumed")


def _ask(url: str, *, paused: bool) -> None:
    from pipeline.engine.run.status_files import read_control, write_control
    from pipeline.outdir.identity import open_directory_of_a_run

    store = open_directory_of_a_run(url)
    write_control(store, read_control(store).model_copy(update={"paused": paused}))
