"""`hdvila-pipeline export`: a finished data set as HD-VILA-100M was released, or with clips that start at frame 0."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """The format to write."""

    HDVILA = "hdvila"
    EXACT = "exact"


def export(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    out: Annotated[str, typer.Option(help="Where to write the export: a folder or an s3:// url.")],
    format_: Annotated[
        Format, typer.Option("--format", help="hdvila: ids, spans and texts, without media; exact: see --exact.")
    ] = Format.HDVILA,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Write a data set whose clips start at frame 0, for readers that know no offset."),
    ] = False,
) -> None:
    """Writes ids, spans and texts the way HD-VILA-100M was released, or a copy whose clips start at frame 0."""
    from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_exact, export_hdvila
    from pipeline.engine.store.store import Store
    from pipeline.outdir.identity import open_directory

    if exact or format_ is Format.EXACT:
        totals = export_exact(open_directory(url), Store(out)).head["totals"]
        print(f"{out}: {totals['samples']} samples in {totals['shards']} shards, each clip starts at frame 0")
        return
    done = export_hdvila(open_directory(url), Store(out))
    print(f"{out}: {done.n_clips} clips of {done.n_videos} videos in {CLIPS_NAME} and {TEXTS_NAME}")
    print("a new run reads them: crawl.sources: [lists], crawl.lists: {files: [...], texts: [...]}")
