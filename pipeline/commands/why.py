"""`hdvila-pipeline why`: what happened to one video."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.engine.store.store import Store
    from pipeline.report.story import Step, Story


def why(
    video: Annotated[str, typer.Argument(help="A video id, a clip id or any address of a video.")],
    out: Annotated[str, typer.Option("--out", help="The output directory: a folder or an s3:// url.")] = "out/demo",
) -> None:
    """Tells what happened to a video or clip at each stage, and why it is in the data set or not."""
    from manifests.exits import NothingMatched
    from manifests.shards import MANIFEST_NAME
    from pipeline.outdir.identity import holds_run, open_directory, open_directory_of_a_run
    from pipeline.outdir.tombstones import is_pseudonym
    from pipeline.report.clip_story import clips_in_shards, kept_clips, story_of_clip

    store = open_directory(out)
    if store.exists(MANIFEST_NAME) and not holds_run(store):  # merged, or resharded: its shards alone can tell
        names = ids_in(video)
        found = {name: clip_in(video, name) for name in names}
        lines = [*clips_in_shards(store, found), *((step.stage, step.what) for step in taken_down(store, names))]
        if not lines:
            raise NothingMatched(f"{out}: {video} not found: no shard has a row of it")
        _print(lines)
        return
    store = open_directory_of_a_run(out)
    video_id, story = next(((name, story) for name, story in stories(store, video) if story.steps), ("", None))
    removed = taken_down(store, [*ids_in(video), *[video_id] * bool(video_id)])
    if story is None and not removed:
        raise NothingMatched(f"{out}: {video} not found: never listed, or wrong output directory")
    lines = [(step.stage, step.what) for step in story.steps] if story else []
    if story and not removed:
        lines += kept_clips(story.shards)
        names = ids_in(video) if is_pseudonym(video_id) else [video_id]
        n = next((n for name in names if (n := clip_in(video, name)) is not None), None)
        lines += story_of_clip(story.clips, story.shards, video_id, n) if n is not None else ()
    _print([*lines, *((step.stage, step.what) for step in removed)])


def _print(lines: Sequence[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from manifests.errors import printable

    table = Table.grid(padding=(0, 2))
    for stage, what in lines:
        table.add_row(stage, printable(what))
    Console(highlight=False, markup=False).print(table)


def taken_down(store: "Store", video_ids: list[str]) -> list["Step"]:
    """What the tombstones say about a video, known here or not: that it was removed, and on which days."""
    from manifests.origin import origin_of
    from manifests.shards import TOMBSTONES
    from pipeline.outdir.tombstones import days_of_removal, read_tombstones
    from pipeline.report.story import Step

    columns = ["video_id", "channel_id", "url", "media_hash"]
    tombstones = read_tombstones(store)
    for video_id in video_ids if tombstones else ():
        rows = store.rows_of(video_id, {"videos": columns})["videos"].to_pylist()
        facts = list(rows[0].values()) if rows else [video_id, "", video_id if origin_of(video_id) else ""]
        if line := tombstones.named(*facts):
            days = days_of_removal(store, video_id)
            when = f"taken down on {', '.join(days)}" if days else "asked to be left out"
            return [Step("removed", f"{when}; `{line}` in {TOMBSTONES} keeps it out of this data set")]
    return []


def clip_in(text: str, video_id: str) -> int | None:
    """The number of the clip of this video that a clip id or a sample's key names; None for what names a video."""
    match = re.fullmatch(rf"{re.escape(video_id)}(?:\.(\d+)|_(\d{{5}}))", text.strip())
    return int(match[1] or match[2]) if match else None


def stories(store: "Store", text: str) -> Iterator[tuple[str, "Story"]]:
    """(video id, its way) of the videos that a text may mean: by their ids, or the pseudonyms that they have since they
    were removed, then by the address that they come from.
    """
    from manifests.origin import origin_of
    from pipeline.outdir.tombstones import read_tombstones
    from pipeline.report.clip_story import shards_of
    from pipeline.report.story import COLUMNS, where_did_it_go

    names = list(dict.fromkeys(map(read_tombstones(store).known_as, ids_in(text))))
    keys = {*names} - {""}
    near = store.rows_near(keys, {**COLUMNS, "videos": [*COLUMNS["videos"], "url"]})
    shards = partial(shards_of, store)
    yield from ((name, where_did_it_go(_Read(store, near), name, shards)) for name in names)
    pairs = zip(*(near["videos"].column(name).to_pylist() for name in ("video_id", "url")), strict=True)
    yield from ((name, where_did_it_go(store, name, shards)) for name, url in pairs if origin_of(url) in keys)


@dataclass(frozen=True, slots=True)
class _Read:
    """An output directory of whose tables some rows are read already."""

    store: "Store"
    rows: "Mapping[str, pa.Table]"

    def rows_of(self, video_id: str, columns: Mapping[str, Sequence[str]]) -> "dict[str, pa.Table]":
        import pyarrow.compute as pc

        found = {table: self.rows[table].filter(pc.field("video_id") == video_id) for table in columns}
        return {table: rows.select(list(columns[table])) for table, rows in found.items()}

    def exists(self, relative: str) -> bool:
        return self.store.exists(relative)

    def open(self, relative: str) -> IO[bytes]:
        return self.store.open(relative)


def ids_in(text: str) -> list[str]:
    """What may name a video here, most likely first: the id or usual form of an address, an id, a clip id, a sample's
    key. UserError for what names no video.
    """
    from manifests.errors import UserError
    from pipeline.outdir.named import read_named

    named = read_named([text], "why")
    if named.channels or named.open:
        raise UserError(f"{text[:200]}: names a channel or list and no video; `sql` tells of all its videos")
    return list(
        dict.fromkeys(
            name
            for word in sorted(named.videos | named.urls | named.words)
            for name in (word, re.sub(r"(\.\d+|_\d{5})$", "", word))
        )
    )
