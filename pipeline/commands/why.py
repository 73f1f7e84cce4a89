"""`hdvila-pipeline why`: what became of one video."""

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs, urlsplit

import typer

if TYPE_CHECKING:
    from pipeline.engine.store import Store


def why(
    video: Annotated[str, typer.Argument(help="A video id, a clip id or a watch address.")],
    out: Annotated[str, typer.Option("--out", help="The output directory: a folder or an s3:// url.")] = "out/demo",
) -> None:
    """Tells what happened to a video at each stage, and why it is in the data set or not."""
    from rich.console import Console
    from rich.table import Table

    from manifests.exits import NothingMatched
    from manifests.story import where_did_it_go
    from pipeline.engine.store import Store

    store = Store(out)
    steps = next((found for name in ids_in(video) if (found := where_did_it_go(store, name))), [])
    steps = steps or next((found for name in ids_from(store, video) if (found := where_did_it_go(store, name))), [])
    if not steps:
        raise NothingMatched(f"{out}: no table knows {video}; it was never listed, or this is not its output directory")
    table = Table.grid(padding=(0, 2))
    for step in steps:
        table.add_row(step.stage, _plain(step.what))
    Console(highlight=False, markup=False).print(table)


def ids_from(store: "Store", text: str) -> list[str]:
    """Ids here of the videos that come from an address, or from the id that it holds at its site."""
    from manifests.origin import origin_of, video_id_of

    wanted = {origin_of(text), video_id_of(text), *ids_in(text)} - {""}
    videos = store.read_table("videos", ["video_id", "url"])
    pairs = zip(*(videos.column(name).to_pylist() for name in ("video_id", "url")), strict=True)
    return [video_id for video_id, url in pairs if origin_of(url) in wanted]


def ids_in(text: str) -> list[str]:
    """Video ids that a text can mean, likeliest first: a watch address, an id, a clip id or a sample's key."""
    if "/" in text:
        address = urlsplit(text)
        return parse_qs(address.query).get("v", [address.path.rstrip("/").rpartition("/")[2]])[:1]
    return [text, re.sub(r"(\.\d+|_\d{5})$", "", text)]


def _plain(text: str) -> str:
    """A text from the net without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)
