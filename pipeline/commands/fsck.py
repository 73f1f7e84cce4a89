"""`hdvila-pipeline fsck`: reads every file of an output directory through, and makes again what the rest can make."""

from typing import Annotated

import typer

from manifests.exits import ExitCode


def fsck(
    url: Annotated[
        str,
        typer.Argument(
            help="The output directory or data set, a folder or an s3:// url; or the YAML of its run.", metavar="DIR"
        ),
    ],
) -> None:
    """Reads every file through and names each that is gone or not as it was written: inputs, tables, commits, plans,
    packs, shards, indexes, cards, tombstones. Makes again what the rest can make, and says what makes the others.

    Own videos and lists above 64 MB are read in three pieces (head, middle, tail), everything else whole: 1 TB takes as
    long as the disk needs, two hours at 150 MB/s. A check that was ended goes on where it stopped. Lists at addresses
    are asked for if the run's YAML is given in place of its directory.
    """
    import time
    from pathlib import Path

    from manifests.content import WHOLE_BYTES
    from manifests.errors import DamagedFile
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST
    from pipeline.dataset.fsck import Fsck
    from pipeline.engine.store.store import Store
    from pipeline.outdir.identity import open_directory
    from pipeline.run.session import open_store

    addresses: tuple[str, ...] = ()
    if url.endswith((".yaml", ".yml")):
        config = load_config(RunConfig, Path(url), context={TRUST: True})  # the site is not asked
        addresses = (*config.crawl.lists.files, *config.crawl.lists.texts)
        store = open_store(config)
    else:
        try:
            store = open_directory(url)
        except DamagedFile:  # run.json itself, which is named with the others
            store = Store(url)
    check, began_s, n_faults = Fsck(store, addresses), time.monotonic(), 0
    for fault in check.run():
        print(fault, flush=True)
        n_faults += 1
    seconds = max(0.001, time.monotonic() - began_s)
    read = f"{check.n_files} files, {check.n_bytes / 1e6:.1f} MB read at {check.n_bytes / 1e6 / seconds:.0f} MB/s"
    if check.n_in_pieces:
        read += f"; of {check.n_in_pieces} inputs above {WHOLE_BYTES >> 20} MB head, middle and tail"
    if check.n_not_asked:
        cure = f"to ask, give the run's YAML in place of {store.url}"
        print(f"{check.n_not_asked} lists at addresses were not asked for; {cure}")
    found = f"{n_faults} fault{'s' * (n_faults > 1)}, {check.n_left} of them left" if n_faults else "no fault found"
    print(f"{store.url}: {found} ({read})")
    if check.n_left:
        raise typer.Exit(ExitCode.INCOMPLETE)
