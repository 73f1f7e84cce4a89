"""How far a removal reaches: what else is known of the videos that were asked for, and which others are the same film.

A tombstone takes along the addresses, the hashes of the files, and the ids of what repeats it here: the rest of its
group in the selection, whose pictures or words are the same, and all that came from the same address or file.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.funnel import SELECTION_NAME, selection_runs
from manifests.origin import is_site_id, origin_of
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones

COLUMNS = ["video_id", "channel_id", "url", "media_hash"]


def reached_by(store: Store, asked: Tombstones) -> tuple[Tombstones, set[str]]:
    """(the tombstones to write for what was asked, with all that is known here of these videos; the ids of the videos
    here that are reached only since they repeat one that was asked for).
    """
    if not asked:
        return asked, set()
    videos = pa.concat_tables([*store.read_runs("videos", COLUMNS), _no_rows()]).combine_chunks()
    groups = _groups(store)
    reached, known = asked, -1
    meant = set(videos.filter(pa.array(covered(videos, asked))).column("video_id").to_pylist())
    ids: set[str] = set()
    while known != len(ids):  # what repeats a video may have come from two addresses
        known = len(ids)
        rows = videos.filter(pa.array(covered(videos, reached)))
        ids = set(rows.column("video_id").to_pylist()) | reached.videos
        ids |= _mates(groups, ids)
        reached = reached.joined(_known_of(rows)).joined(Tombstones(frozenset(_mates(groups, ids))))
    return reached, (ids & set(videos.column("video_id").to_pylist())) - meant - asked.videos


def _no_rows() -> pa.Table:
    return pa.schema([(name, pa.string()) for name in COLUMNS]).empty_table()


def _known_of(rows: pa.Table) -> Tombstones:
    """The ids, addresses and files of these videos."""
    videos: set[str] = set()
    urls: set[str] = set()
    contents: dict[str, str] = {}
    for video_id, _, url, content in zip(*rows.select(COLUMNS).to_pydict().values(), strict=True):
        origin = origin_of(url)
        videos.add(video_id)
        if origin and origin != video_id:
            (videos if is_site_id(origin) else urls).add(origin)
        if content:
            contents[content] = video_id
    return Tombstones(frozenset(videos), urls=frozenset(urls), contents=contents)


def _groups(store: Store) -> pa.Table:
    """(video_id, group) of the videos that share a group with others."""
    pieces = [pa.schema([("video_id", pa.string()), ("group", pa.string())]).empty_table()]
    for rows in selection_runs(store, ["video_id", "group"]) if store.exists(SELECTION_NAME) else ():
        pieces.append(rows.filter(pc.not_equal(rows.column("group"), rows.column("video_id"))))
    return pa.concat_tables(pieces).combine_chunks()


def _mates(groups: pa.Table, ids: Collection[str]) -> set[str]:
    """The videos in the groups of these. A group is named after its first, whose own row is not among `groups`."""
    mine = pa.array(sorted(ids), pa.string())
    in_mine = pc.or_(pc.is_in(groups.column("video_id"), mine), pc.is_in(groups.column("group"), mine))
    names = groups.filter(in_mine).column("group")
    rows = groups.filter(pc.is_in(groups.column("group"), value_set=pc.unique(names)))
    return {*rows.column("video_id").to_pylist(), *rows.column("group").to_pylist()}


def covered(rows: pa.Table, ids: Tombstones) -> NDArray[np.bool_]:
    """[N] `Tombstones.cover` of the rows' videos; url and media_hash count where the rows have them."""
    if ids.hashed:
        names = [name for name in COLUMNS if name in rows.column_names]
        columns = [rows.column(name).to_pylist() for name in names]
        words = {"video_id": "video_id", "channel_id": "channel_id", "url": "url", "media_hash": "content"}
        facts = (dict(zip((words[name] for name in names), row, strict=True)) for row in zip(*columns, strict=True))
        return np.array([ids.cover(**of_one) for of_one in facts], np.bool_)
    by_id = pc.or_(is_in(rows, "video_id", ids.videos), is_in(rows, "channel_id", ids.channels))
    if ids.contents and "media_hash" in rows.column_names:
        by_id = pc.or_(by_id, is_in(rows, "media_hash", ids.contents))
    made = np.array(by_id.to_numpy(zero_copy_only=False), np.bool_)
    wanted = (ids.videos | ids.urls) - {""}  # that is the origin of a file
    if wanted and "url" in rows.column_names:
        urls = pc.dictionary_encode(rows.column("url").combine_chunks())
        is_wanted = np.array([origin_of(url) in wanted for url in urls.dictionary.to_pylist()], np.bool_)
        made |= is_wanted[urls.indices.to_numpy()] if len(is_wanted) else False
    return made


def is_in(rows: pa.Table, column: str, wanted: Collection[str]) -> pa.Array:
    """[N] whether the column's value is one of these."""
    found = pc.is_in(rows.column(column), value_set=pa.array(sorted(wanted), pa.string()))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
