"""`hdvila-pipeline remove`: takes videos, channels or sentences out of a finished data set."""

from typing import Annotated

import typer


def remove(
    url: Annotated[str, typer.Argument(help="The data set: a folder or an s3:// url.", metavar="DIR")],
    ids: Annotated[
        str, typer.Option(help="A text file or its url: an id, address or @handle a line, or `video ID`, `channel ID`.")
    ] = "",
    text: Annotated[
        str, typer.Option(help="A text file or its url: a sentence a line; clips that say one go, not their videos.")
    ] = "",
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Keep only salted hashes of them; erase all words of videos that say a sentence."),
    ] = False,
) -> None:
    """Takes videos, channels or sentences out of finished shards and the manifest, and leaves tombstones."""
    from manifests.errors import UserError
    from manifests.exits import NothingMatched, Unresolved
    from pipeline.dataset.remove import meant_by
    from pipeline.dataset.remove import remove as remove_ids
    from pipeline.outdir.identity import open_directory
    from pipeline.outdir.named import CURE, Named, read_named, resolve
    from pipeline.outdir.sayings import read_sayings
    from pipeline.outdir.tombstones import Tombstones
    from pipeline.site.optout import read_source
    from pipeline.site.redact import redact

    if bool(ids) == bool(text):
        raise UserError("give --ids FILE, or --text FILE for sentences")
    store, given = open_directory(url), ids or text
    lines = read_source(given, "--ids" if ids else "--text").splitlines()
    named = resolve(read_named(lines, redact(given)), store) if ids else Named()
    wanted = meant_by(named, store) if ids else Tombstones(texts=read_sayings(lines, redact(given)))
    if named.open and wanted == Tombstones():
        raise Unresolved(f"{ids}: only the site can tell what {', '.join(named.unresolved)} means; {CURE}")
    done = remove_ids(store, wanted, purge=purge)
    print(f"{url}: {done.n_samples} samples removed, {done.n_shards} shards rewritten, {done.n_packs} packs deleted")
    if text:
        print(f"{len(done.clips)} clips say one of the sentences in {text}")
    if done.repeats:
        print(f"the same film as one that was asked for, so removed too: {', '.join(done.repeats)}")
    if done.unknown:
        print(f"not in this data set, kept out from now on: {', '.join(done.unknown)}")
    if done.n_purged or purge:
        print(f"{done.n_purged} table rows emptied")
    if done.record:
        print(f"ids and keys, for copies, exports and merges elsewhere: {url.rstrip('/')}/{done.record}")
    if named.open:
        lost = ", ".join(named.unresolved)
        raise Unresolved(f"{ids}: only the site can tell what {lost} means, so nothing of it was removed; {CURE}")
    if text and not done.clips:
        raise NothingMatched(f"{url}: no clip here says one of the sentences in {text}; they are kept out from now on")
    if ids and not done.videos:
        looked_for = ", ".join(sorted(wanted.videos | wanted.channels | wanted.urls)) or "no id"
        raise NothingMatched(
            f"{url}: no video, channel or address here is one of those in {ids} ({looked_for}); nothing was removed, "
            "and they are kept out from now on"
        )
