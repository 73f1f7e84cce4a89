"""Exports a finished data set in other forms: as HD-VILA-100M was released, or as shards for readers of others.

hdvila      hdvila.jsonl   {"video_id", "url", "clip": [{"clip_id": "<video_id>.<n>.mp4", "span": ["HH:MM:SS.mmm", …]}]}
            text.jsonl     {"clip_id", "text"}
            No media. The `hdvila` source of a new run reads both and plans the same clips.
webdataset  A data set whose mp4s have their sentence and nothing before it, for readers without offsets: each clip is
            re-encoded from its own mp4; all other members are copied. Or a copy with the clips as they are.
hf          pipeline/dataset/hub_folder.py
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from manifests.errors import UserError
from manifests.lock import RunLock
from manifests.rows import ShardRow
from manifests.sample import clip_id
from manifests.shards import Manifest, read_manifest
from pipeline.dataset.exact import join_clips
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way, write_tombstones
from pipeline.report.page import write_first_report
from pipeline.shards.files import SUCCESS, clip_number, pieces_of, put_shard, read_rows
from pipeline.shards.manifest import given_head, publish, refuse_existing

CLIPS_NAME, TEXTS_NAME = "hdvila.jsonl", "text.jsonl"


@dataclass(frozen=True, slots=True)
class Released:
    """The result of an export of ids, spans and texts."""

    n_videos: int
    n_clips: int


class ReleasedClip(TypedDict):
    """A clip of hdvila.jsonl; `span` in hours, minutes and seconds."""

    clip_id: str
    span: list[str]


class ReleasedVideo(TypedDict):
    """A line of hdvila.jsonl."""

    video_id: str
    url: str
    clip: list[ReleasedClip]


def export_hdvila(source: Store, out: Store) -> Released:
    """Writes hdvila.jsonl and text.jsonl of a finished data set. Raises UserError if `out` has either already.

    A text.jsonl with the same texts and no hdvila.jsonl beside it is that of an export that was interrupted.
    """
    _refuse(out, CLIPS_NAME)
    manifest = read_manifest(source.url, **dict(source.options))
    refuse_while_under_way(source, read_tombstones(source))
    videos: dict[str, ReleasedVideo] = {}
    texts: list[str] = []
    for row in _samples(source, manifest):
        name = f"{clip_id(row['video_id'], clip_number(row, source.url))}.mp4"
        video = videos.setdefault(row["video_id"], {"video_id": row["video_id"], "url": row["url"], "clip": []})
        video["clip"].append({"clip_id": name, "span": [clock(row["start_ms"]), clock(row["end_ms"])]})
        texts.append(_line({"clip_id": name, "text": row["caption"]}))
    for video in videos.values():
        video["clip"].sort(key=lambda clip: clip["span"])
    written = "".join(sorted(texts)).encode()
    if out.exists(TEXTS_NAME) and out.read(TEXTS_NAME) != written:
        _refuse(out, TEXTS_NAME)
    out.write(TEXTS_NAME, written)
    out.write(CLIPS_NAME, "".join(_line(videos[i]) for i in sorted(videos)).encode())
    return Released(len(videos), len(texts))


def _refuse(out: Store, name: str) -> None:
    if out.exists(name):
        raise UserError(f"{out.url}/{name}: exists already; name another folder")


def _samples(source: Store, manifest: Manifest) -> Iterator[ShardRow]:
    for entry in counted(manifest.shards, len(manifest.shards), "export"):
        for row in read_rows(source, entry.url).to_pylist():
            if row["status"] == SUCCESS:
                yield row


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def clock(ms: int) -> str:
    """Formats a time as HD-VILA-100M does: HH:MM:SS.mmm."""
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def export_clips(source: Store, out: Store, *, exact: bool = True) -> Manifest:
    """Writes the data set again, if `exact` with clips that start at frame 0. UserError if one cannot be cut so."""
    manifest = read_manifest(source.url, **dict(source.options))
    refuse_existing(out)
    tombstones = read_tombstones(source)
    refuse_while_under_way(source, tombstones)
    with RunLock(out):
        write_tombstones(out, tombstones)
        entries = []
        for entry in counted(manifest.shards, len(manifest.shards), "export"):
            with tempfile.TemporaryDirectory() as scratch:
                entries.append(join_clips(source, entry, pieces_of(source, entry), Path(scratch), exact=exact))
                put_shard(out, Path(scratch), entry.url)
        head, card = given_head(manifest.head)
        if exact:
            head |= {"config": {**head.get("config", {}), "media.cut.mode": "exact"}, "exact_from": manifest.sha256}
        made = publish(out, entries, head, card)
        write_first_report(out)
        return made
