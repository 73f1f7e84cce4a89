"""`hdvila-pipeline remove`: takes videos or channels out of a finished data set."""

from pathlib import Path
from typing import Annotated

import typer


def remove(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    ids: Annotated[
        Path,
        typer.Option(
            help="A text file: an id, address or @handle per line, or `video ID`, `channel ID`; # begins a comment."
        ),
    ],
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Also erase their titles, captions, words and texts from the crawl's tables."),
    ] = False,
) -> None:
    """Takes videos or channels out of finished shards and the manifest, and leaves tombstones that keep them out."""
    from manifests.errors import UserError
    from manifests.exits import NothingMatched, Unresolved
    from pipeline.dataset.remove import meant_by
    from pipeline.dataset.remove import remove as remove_ids
    from pipeline.outdir.identity import open_directory
    from pipeline.outdir.named import CURE, read_named, resolve
    from pipeline.outdir.tombstones import Tombstones

    store = open_directory(url)
    try:
        lines = ids.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{ids}: cannot be read ({error}); give a text file of ids") from None
    named = resolve(read_named(lines, str(ids)), store)
    wanted = meant_by(named, store)
    if named.open and wanted == Tombstones():
        raise Unresolved(f"{ids}: only the site can tell what {', '.join(named.unresolved)} means; {CURE}")
    done = remove_ids(store, wanted, purge=purge)
    print(f"{url}: {done.n_samples} samples removed, {done.n_shards} shards rewritten, {done.n_packs} packs deleted")
    if done.unknown:
        print(f"not in this data set, kept out from now on: {', '.join(done.unknown)}")
    if purge:
        print(f"{done.n_purged} table rows emptied")
    if done.record:
        print(f"ids and keys, for copies, exports and merges elsewhere: {url.rstrip('/')}/{done.record}")
    if named.open:
        lost = ", ".join(named.unresolved)
        raise Unresolved(f"{ids}: only the site can tell what {lost} means, so nothing of it was removed; {CURE}")
    if not done.videos:
        looked_for = ", ".join(sorted(wanted.videos | wanted.channels | wanted.urls)) or "no id"
        raise NothingMatched(
            f"{url}: no video, channel or address here is one of those in {ids} ({looked_for}); nothing was removed, "
            "and they are kept out from now on"
        )
