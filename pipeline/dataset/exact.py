"""Clips cut anew so that they start at frame 0, for readers that know no offset; all other members are copied."""

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

from manifests.errors import DamagedFile
from manifests.rows import ShardRow
from manifests.sample import ReadSample, read_sample
from manifests.shards import ShardEntry, member_offsets
from pipeline.config.media import CutConfig, MediaConfig
from pipeline.engine.store.store import Store
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.cutting.span import source_ms
from pipeline.media.packs import Sample, check_key, write_pack
from pipeline.media.probe import Probe, Unusable, open_media, probe
from pipeline.shards.files import Piece, join_shard

CPU_H_AN_HOUR = 0.27
"""Processor hours that re-encoding an hour of 720p clips takes: docs/lab/clips.md, the clips of four minutes."""


def join_clips(
    source: Store, entry: ShardEntry, pieces: Sequence[Piece], folder: Path, *, exact: bool, url: str = ""
) -> ShardEntry:
    """Writes a shard of these pieces of `entry` into a folder, by default under its own url."""
    if exact:
        pieces = [_exact_piece(source, entry, piece, folder) if piece.sample else piece for piece in pieces]
    return join_shard(pieces, folder, url=url or entry.url, split=entry.split, generation=entry.generation)


def _exact_piece(source: Store, entry: ShardEntry, piece: Piece, folder: Path) -> Piece:
    """A clip's sample with the clip cut anew, in a tar of its own in `folder`; one that is exact stays where it is."""
    made = _exact_sample(source, entry, piece.row, folder)
    if made is None:
        return piece
    sample, codec = made
    (placed,) = write_pack(folder / f"{sample.key}.pack", [sample])
    return Piece(cast(ShardRow, {**piece.row, "codec": codec}), Store(str(folder)), f"{sample.key}.pack", placed)


def _exact_sample(source: Store, entry: ShardEntry, row: ShardRow, folder: Path) -> tuple[Sample, str] | None:
    """The sample with its clip cut anew, and the codec; None if the clip starts at frame 0 as it is. UserError for one
    that cannot be cut so, or is not one of ours.
    """
    name = f"{source.url}/{entry.url}: {row['key']!r}"
    offsets = member_offsets(row["members"])
    members: dict[str, bytes] = {e: source.read_range(entry.url, at, at + size) for e, (at, size) in offsets.items()}
    try:
        check_key(row["key"])
        facts, sample = json.loads(members["json"]), read_sample(members["json"])
        if sample.cut_mode == "exact":
            return None
        film = folder / "film.mp4"
        film.write_bytes(members["mp4"])
        cut = _cut_from_frame(film, sample)
        facts |= {"first_frame": 0, "cut_mode": "exact", "codec": cut.codec, "has_audio": cut.has_audio}
        facts |= {"offset_ms": cut.offset_ms, "audio_start_ms": cut.audio_start_ms}
        members["mp4"] = cut.mp4
        members["json"] = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
    except (Unusable, ValueError, KeyError, RecursionError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0][:200]
        raise DamagedFile(f"{name}: cannot be cut exactly ({why}); `hdvila-pipeline verify` the data set") from None
    return Sample(row["key"], members), cut.codec


def _cut_from_frame(film: Path, sample: ReadSample) -> CutClip:
    """Cuts the clip's frames out of its mp4, which may begin at an earlier keyframe. ValueError for none."""
    limits = MediaConfig().limits
    probed = probe(film, limits)
    times = _frame_times(film, probed)
    first, last = sample.first_frame, sample.first_frame + sample.n_frames
    if not 0 <= first < last <= len(times):
        raise ValueError(f"frames {first} to {last - 1} of {len(times)}")
    end_ms = math.floor(times[last]) if last < len(times) else probed.duration_ms
    span = Span(0, math.floor(times[first]), end_ms)
    (cut,) = cut_clips(probed, [span], CutConfig(mode="exact"), limits)
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
