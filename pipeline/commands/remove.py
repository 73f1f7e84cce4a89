"""`hdvila-pipeline remove`: takes videos or channels out of a finished data set."""

from pathlib import Path
from typing import Annotated

import typer


def remove(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    ids: Annotated[Path, typer.Option(help="A text file: one id a line, or `video ID`, `channel ID`; # for comments.")],
) -> None:
    """Rewrites the shards that hold them, updates the manifest and leaves tombstones that later runs honour."""
    from manifests.errors import UserError
    from manifests.exits import NothingMatched
    from pipeline.dataset.remove import known_ids, parse_ids
    from pipeline.dataset.remove import remove as remove_ids
    from pipeline.engine.store import Store

    store = Store(url)
    try:
        lines = ids.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{ids}: cannot be read ({error}); give a text file of ids") from None
    wanted = parse_ids(lines, known_ids(store)[1])
    done = remove_ids(store, wanted)
    print(f"{url}: {done.n_samples} samples removed, {done.n_shards} shards rewritten, {done.n_packs} packs deleted")
    if done.unknown:
        print(f"not in this data set, kept out from now on: {', '.join(done.unknown)}")
    if len(done.unknown) == len(wanted.videos) + len(wanted.channels):
        raise NothingMatched(f"{url}: holds none of the ids in {ids}")
