"""`hdvila-pipeline verify`: reads a whole data set and names each fault."""

from typing import Annotated

import typer

from manifests.exits import ExitCode


def verify(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    decode: Annotated[int, typer.Option(help="How many samples of each shard to decode; 0: none.", min=0)] = 2,
    decode_all: Annotated[bool, typer.Option("--decode-all", help="Decode every sample.")] = False,
    workers: Annotated[int, typer.Option(help="Number of processes; each reads one shard at a time.", min=1)] = 1,
) -> None:
    """Reads every shard and names each fault: checksums, structure, json, counts, media."""
    from pipeline.dataset.verify import verify as verify_data_set
    from pipeline.outdir.identity import open_directory

    store = open_directory(url)
    n_faults = 0
    for fault in verify_data_set(store, decode=-1 if decode_all else decode, workers=workers):
        print(fault, flush=True)
        n_faults += 1
    print(f"{url}: {n_faults} faults" if n_faults else f"{url}: no fault found")
    if n_faults:
        raise typer.Exit(ExitCode.INCOMPLETE)
