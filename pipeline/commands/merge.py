"""`hdvila-pipeline merge`: joins finished data sets into a new data set."""

from typing import Annotated

import typer


def merge(
    urls: Annotated[list[str], typer.Argument(help="Two or more data sets.", metavar="DIR...")],
    out: Annotated[str, typer.Option(help="Where to write the new data set: a folder or an s3:// url.")],
    drop_duplicates: Annotated[
        bool,
        typer.Option(
            "--drop-duplicates", help="Leave out what an earlier data set already holds, instead of refusing."
        ),
    ] = False,
) -> None:
    """Joins data sets into a new one: shards are copied byte for byte under one manifest."""
    from manifests.errors import UserError, printable
    from pipeline.dataset.merge import merge as merge_data_sets
    from pipeline.engine.store.store import Store
    from pipeline.outdir.identity import open_directory

    if len(set(urls)) != len(urls) or out in urls:
        raise UserError("merge: name each data set once, and another folder for --out")
    merged = merge_data_sets([open_directory(url) for url in urls], Store(out), drop_duplicates=drop_duplicates)
    totals = merged.manifest.head["totals"]
    print(f"{out}: {totals['samples']} samples in {totals['shards']} shards, {totals['hours']:.2f} hours")
    if merged.dropped:
        print(f"left out of later data sets, {len(merged.dropped)} videos: {printable(', '.join(merged.dropped))}")
