"""`hdvila-pipeline why`: what happened to one video."""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer

if TYPE_CHECKING:
    from manifests.story import Step
    from pipeline.engine.store.store import Store


def why(
    video: Annotated[str, typer.Argument(help="A video id, a clip id or a watch address.")],
    out: Annotated[str, typer.Option("--out", help="The output directory: a folder or an s3:// url.")] = "out/demo",
) -> None:
    """Tells what happened to a video at each stage, and why it is in the data set or not."""
    from rich.console import Console
    from rich.table import Table

    from manifests.exits import NothingMatched
    from manifests.story import where_did_it_go
    from pipeline.outdir.identity import open_directory

    store = open_directory(out)
    names = chain(ids_in(video), _later(lambda: ids_from(store, video)))
    video_id, steps = next(((name, story) for name in names if (story := where_did_it_go(store, name))), ("", []))
    steps = [*steps, *taken_down(store, [video_id] if video_id else ids_in(video))]
    if not steps:
        raise NothingMatched(f"{out}: {video} not found: never listed, or wrong output directory")
    table = Table.grid(padding=(0, 2))
    for step in steps:
        table.add_row(step.stage, _plain(step.what))
    Console(highlight=False, markup=False).print(table)


def taken_down(store: "Store", video_ids: list[str]) -> list["Step"]:
    """What the tombstones say about a video, known here or not: that it was removed, and on which days."""
    from manifests.story import Step
    from pipeline.outdir.tombstones import TOMBSTONES, days_of_removal, read_tombstones

    tombstones = read_tombstones(store)
    for video_id in video_ids:
        rows = store.rows_of(video_id, {"videos": ["video_id", "channel_id", "url"]})["videos"].to_pylist()
        row = rows[0] if rows else {"channel_id": "", "url": ""}
        if tombstones.cover(video_id, row["channel_id"], row["url"]):
            days = days_of_removal(store, video_id)
            when = f"taken down on {', '.join(days)}" if days else "asked to be left out"
            return [Step("removed", f"{when}; {TOMBSTONES} keeps it out of this data set")]
    return []


def ids_from(store: "Store", text: str) -> list[str]:
    """Ids of the videos here that come from an address, or from the site's own id in it."""
    from manifests.origin import origin_of, video_id_of

    wanted = {origin_of(text), video_id_of(text), *ids_in(text)} - {""}
    videos = store.read_table("videos", ["video_id", "url"])
    pairs = zip(*(videos.column(name).to_pylist() for name in ("video_id", "url")), strict=True)
    return [video_id for video_id, url in pairs if origin_of(url) in wanted]


def ids_in(text: str) -> list[str]:
    """Video ids that a text may mean, most likely first: from a watch address, an id, a clip id or a sample's key."""
    if "/" in text:
        address = urlsplit(text)
        return parse_qs(address.query).get("v", [address.path.rstrip("/").rpartition("/")[2]])[:1]
    return [text, re.sub(r"(\.\d+|_\d{5})$", "", text)]


def _later(ask: Callable[[], list[str]]) -> Iterator[str]:
    """Yields what `ask` returns, calling it only when the first item is wanted: it reads a whole table."""
    yield from ask()


def _plain(text: str) -> str:
    """Replaces control characters of a text from the net, which a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)
