"""Exports a finished data set in other forms: as HD-VILA-100M was released, or with clips that start at frame 0.

hdvila    hdvila.jsonl   {"video_id", "url", "clip": [{"clip_id": "<video_id>.<n>.mp4", "span": ["HH:MM:SS.mmm", …]}]}
          text.jsonl     {"clip_id", "text"}
          No media. The `hdvila` source of a new run reads both and plans the same clips.
exact     A data set whose mp4s have their sentence and nothing before it, for readers without offsets: each clip is
          re-encoded from its own mp4; all other members are copied.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypedDict, cast

from manifests.errors import DamagedFile, UserError
from manifests.lock import RunLock
from manifests.rows import ShardRow
from manifests.sample import ReadSample, clip_id, read_sample
from manifests.shards import Manifest, ShardEntry, member_offsets, read_manifest
from pipeline.config.media import CutConfig, MediaConfig
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.cutting.span import source_ms
from pipeline.media.packs import Sample, check_key, write_pack
from pipeline.media.probe import Probe, Unusable, open_media, probe
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way, write_tombstones
from pipeline.report.page import write_first_report
from pipeline.shards.files import SUCCESS, Piece, clip_number, join_shard, pieces_of, put_shard, read_rows
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


def export_exact(source: Store, out: Store) -> Manifest:
    """Writes the data set again with clips that start at frame 0. Raises UserError for a clip that cannot be cut."""
    manifest = read_manifest(source.url, **dict(source.options))
    refuse_existing(out)
    tombstones = read_tombstones(source)
    refuse_while_under_way(source, tombstones)
    exact = CutConfig(mode="exact")
    with RunLock(out):
        write_tombstones(out, tombstones)
        shards = counted(manifest.shards, len(manifest.shards), "export")
        entries = [_exact_shard(source, entry, out, exact) for entry in shards]
        head, card = given_head(manifest.head)
        head["config"] = {**head.get("config", {}), "media.cut.mode": "exact"}
        made = publish(out, entries, {**head, "exact_from": manifest.sha256}, card)
        write_first_report(out)
        return made


def _exact_shard(source: Store, entry: ShardEntry, out: Store, config: CutConfig) -> ShardEntry:
    with tempfile.TemporaryDirectory() as scratch:
        folder, here = Path(scratch), Store(scratch)
        pieces: list[Piece] = []
        for piece in pieces_of(source, entry):
            if piece.sample is None:
                pieces.append(piece)
                continue
            sample, codec = _exact_sample(source, entry, piece.row, folder, config)
            tar = f"{sample.key}.pack"
            (placed,) = write_pack(folder / tar, [sample])
            pieces.append(Piece(cast(ShardRow, {**piece.row, "codec": codec}), here, tar, placed))
        done = join_shard(pieces, folder, url=entry.url, split=entry.split, generation=entry.generation)
        put_shard(out, folder, entry.url)
    return done


def _exact_sample(
    source: Store, entry: ShardEntry, row: ShardRow, folder: Path, config: CutConfig
) -> tuple[Sample, str]:
    """The sample with its clip cut anew. Raises UserError for one that cannot be: not cut so, or not one of ours."""
    name = f"{source.url}/{entry.url}: {row['key']!r}"
    offsets = member_offsets(row["members"])
    members: dict[str, bytes] = {e: source.read_range(entry.url, at, at + size) for e, (at, size) in offsets.items()}
    try:
        check_key(row["key"])
        film = folder / "film.mp4"
        film.write_bytes(members["mp4"])
        facts, sample = json.loads(members["json"]), read_sample(members["json"])
        cut = _cut_from_frame(film, sample, config)
        facts |= {"first_frame": 0, "offset_ms": 0, "cut_mode": "exact", "codec": cut.codec, "has_audio": cut.has_audio}
        facts["audio_start_ms"] = cut.audio_start_ms
        members["mp4"] = cut.mp4
        members["json"] = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
    except (Unusable, ValueError, KeyError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0][:200]
        raise DamagedFile(f"{name}: cannot be cut exactly ({why}); `hdvila-pipeline verify` the data set") from None
    return Sample(row["key"], members), cut.codec


def _cut_from_frame(film: Path, sample: ReadSample, config: CutConfig) -> CutClip:
    """Cuts the clip's frames out of its mp4, which may begin at an earlier keyframe. ValueError for none."""
    limits = MediaConfig().limits
    probed = probe(film, limits)
    times = _frame_times(film, probed)
    first, last = sample.first_frame, sample.first_frame + sample.n_frames
    if not 0 <= first < last <= len(times):
        raise ValueError(f"frames {first} to {last - 1} of {len(times)}")
    end_ms = math.ceil(times[last]) if last < len(times) else probed.duration_ms
    span = Span(0, math.floor(times[first]), end_ms)
    (cut,) = cut_clips(probed, [span], config, limits)
    if not isinstance(cut, CutClip):
        raise ValueError(cut.detail)
    if cut.n_frames != sample.n_frames:
        raise ValueError(f"{cut.n_frames} frames for {sample.n_frames}")
    return cut


def _frame_times(film: Path, probed: Probe) -> list[Fraction]:
    """The source times of the frames, ms, in presentation order."""
    with open_media(film, MediaConfig().limits) as container:
        stream = container.streams[probed.video.index]
        ticks = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
    return [source_ms(tick, probed, probed.video.time_base) for tick in ticks]
