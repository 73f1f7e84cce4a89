"""`hdvila-pipeline remove`: takes videos or channels out of a finished data set."""

from pathlib import Path
from typing import Annotated

import typer


def remove(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    ids: Annotated[
        Path,
        typer.Option(help="A text file, one id or address per line, or `video ID`, `channel ID`; # starts a comment."),
    ],
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Also erase their titles, captions, words and texts from the crawl's tables."),
    ] = False,
) -> None:
    """Takes videos or channels out of finished shards and the manifest, and leaves tombstones that keep them out."""
    from manifests.errors import UserError
    from manifests.exits import NothingMatched
    from pipeline.dataset.holders import channels_among
    from pipeline.dataset.remove import bare_words, parse_ids
    from pipeline.dataset.remove import remove as remove_ids
    from pipeline.outdir.identity import open_directory

    store = open_directory(url)
    try:
        lines = ids.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{ids}: cannot be read ({error}); give a text file of ids") from None
    wanted = parse_ids(lines, channels_among(store, bare_words(lines)))
    done = remove_ids(store, wanted, purge=purge)
    print(f"{url}: {done.n_samples} samples removed, {done.n_shards} shards rewritten, {done.n_packs} packs deleted")
    if done.unknown:
        print(f"not in this data set, kept out from now on: {', '.join(done.unknown)}")
    if purge:
        print(f"{done.n_purged} table rows emptied")
    if done.record:
        print(f"ids and keys, for copies, exports and merges elsewhere: {url.rstrip('/')}/{done.record}")
    if not done.videos:
        looked_for = ", ".join(sorted(wanted.videos | wanted.channels | wanted.urls)) or "no id"
        raise NothingMatched(
            f"{url}: no video, channel or address here is one of those in {ids} ({looked_for}); nothing was removed, "
            "and they are kept out from now on"
        )
