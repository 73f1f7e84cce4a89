"""A clip's members where they lie: its film by range, a still, its words with their times, its first frame.

A row of the tables says where; the member's header in the tar has to say the same, so that a damaged table shows
nothing of another clip.
"""

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from manifests.errors import DamagedFile
from manifests.sample import ReadSample, read_sample
from manifests.shards import member_offsets
from manifests.tars import BLOCK
from pipeline.config.media import MediaLimits
from pipeline.engine.store.store import Store
from pipeline.media.probe import Unusable, open_media
from pipeline.report.samples import MOST_JSON_BYTES, shrink

Row = Mapping[str, Any]
A_PIECE = 1 << 20
"""Bytes of a film that are read at once."""
MOST_STILL_BYTES, MOST_FILM_BYTES = 16 * 1024**2, 512 * 1024**2


class NoMember(Exception):
    """There is no such member in any shard or pack."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member lies: bytes `start` … `start + size - 1` of a tar."""

    tar: str
    start: int
    size: int

    def pieces(self, store: Store, first: int, last: int) -> Iterator[bytes]:
        """Yields its bytes `first` … `last`. DamagedFile if the tar ends before."""
        at = first
        while at <= last:
            end = min(last + 1, at + A_PIECE)
            data = store.read_range(self.tar, self.start + at, self.start + end)
            if len(data) != end - at:
                raise DamagedFile(f"{store.url}/{self.tar}: ends before its member does; restore it")
            yield data
            at = end

    def read(self, store: Store, most: int) -> bytes:
        """All of it. DamagedFile if it has more bytes than such a member has."""
        if self.size > most:
            raise DamagedFile(f"{store.url}/{self.tar}: a member has {self.size} bytes, more than {most}")
        return b"".join(self.pieces(store, 0, self.size - 1))


def find_member(store: Store, row: Row, extension: str) -> Member:
    """Where a member of a clip lies. NoMember if it has none; DamagedFile if something else lies there."""
    offsets = member_offsets(row["members"])
    if not row["tar"] or extension not in offsets:
        raise NoMember(f"{row['clip_id']} has no {extension} in a shard or pack")
    start, size = row["tar_offset"] + offsets[extension][0], offsets[extension][1]
    try:
        header = store.read_range(row["tar"], start - BLOCK, start)
        info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except FileNotFoundError:
        raise NoMember(f"{row['tar']} is not there (packs are deleted once their clips are in shards)") from None
    except (tarfile.HeaderError, ValueError) as error:
        raise DamagedFile(f"{store.url}/{row['tar']}: no member at byte {start} ({error}); see `verify`") from None
    if info.name != f"{row['key']}.{extension}" or info.size != size:
        raise DamagedFile(
            f"{store.url}/{row['tar']}: at byte {start} lies {info.name[:100]!r} and not {row['key']}.{extension}; "
            "`verify` says more"
        )
    return Member(row["tar"], start, size)


def read_facts(store: Store, row: Row) -> ReadSample:
    """A clip's KEY.json. NoMember or DamagedFile, as `find_member`."""
    data = find_member(store, row, "json").read(store, MOST_JSON_BYTES)
    try:
        return read_sample(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{store.url}/{row['tar']}: {row['key']}.json cannot be read ({str(error)[:200]})") from None


def still_of(store: Store, row: Row) -> bytes:
    """A small JPEG of the clip's middle still, of its sample or kept for itself. NoMember if it has none."""
    if row["still_bytes"]:
        return _kept_still(store, row)
    stills = _list(read_facts(store, row).stills)
    try:
        still = stills[len(stills) // 2]
        at, size = int(still["offset"]), int(still["size"])
    except (LookupError, TypeError, ValueError):
        raise NoMember(f"{row['clip_id']} has no still") from None
    member = find_member(store, row, "mjpg")
    if not 0 <= at < at + size <= member.size or size > MOST_STILL_BYTES:
        raise DamagedFile(f"{store.url}/{row['tar']}: {row['key']}.json names a still that lies outside its mjpg")
    jpeg = b"".join(member.pieces(store, at, at + size - 1))
    if not (small := shrink(jpeg)):
        raise DamagedFile(f"{store.url}/{row['tar']}: the still of {row['key']} cannot be decoded")
    return small


def _kept_still(store: Store, row: Row) -> bytes:
    for part in store.parts_of("stills", [row["video_id"]]).values():
        for kept in store.read_part(part, ["clip_id", "still"]).to_pylist():
            if kept["clip_id"] == row["clip_id"] and kept["still"]:
                return bytes(kept["still"])
    raise NoMember(f"{row['clip_id']} has no still any more")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the sentence; times in ms from the clip's start."""

    text: str
    start_ms: int
    end_ms: int
    is_timed: bool


@dataclass(frozen=True, slots=True)
class Playing:
    """What playing a clip needs; times in s of its film. `cuts`: (from, to) of scene cuts and gradual transitions."""

    start_s: float
    end_s: float
    offset_s: float
    words: tuple[Word, ...]
    cuts: tuple[tuple[float, float], ...]
    facts: ReadSample


def playing_of(store: Store, row: Row) -> Playing:
    """Where to begin and to end. Its first frame's own time is looked up in the film: `offset_ms` may lie a fraction of
    a frame before it, where a player would show the frame that comes before the clip.
    """
    facts = read_facts(store, row)
    times = _frame_times(find_member(store, row, "mp4").read(store, MOST_FILM_BYTES))
    offset_s = facts.offset_ms / 1000
    first, after = facts.first_frame, facts.first_frame + facts.n_frames
    start_s = times[first] if 0 <= first < len(times) else offset_s
    end_s = times[after] if 0 <= after < len(times) else offset_s + facts.duration_ms / 1000
    cuts = [(ms, ms) for ms in _numbers(_list(facts.scene_cuts))]
    spans = [_numbers(span) for span in _list(facts.scene_spans) if isinstance(span, list)]
    cuts += [(span[0], span[1]) for span in spans if len(span) == 2]
    return Playing(
        start_s,
        end_s,
        offset_s,
        tuple(_words(_list(facts.words))),
        tuple((offset_s + a / 1000, offset_s + b / 1000) for a, b in cuts),
        facts,
    )


def _frame_times(film: bytes) -> list[float]:
    """The time of each frame of a film, in the order in which they are shown; [] if it cannot be read."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(film)
        file.flush()
        try:
            with open_media(Path(file.name), MediaLimits()) as source:
                stream = source.streams.video[0]
                pts = sorted(packet.pts for packet in source.demux(stream) if packet.pts is not None)
                return [float(at * stream.time_base) for at in pts]
        except (Unusable, av.FFmpegError, ValueError, IndexError):
            return []


def _list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def _numbers(values: list[Any]) -> list[float]:
    return [float(value) for value in values if type(value) in (int, float) and abs(value) < 1e12]


def _words(values: list[Any]) -> Iterator[Word]:
    for value in values:
        if isinstance(value, dict):
            start, end = (value.get(name) for name in ("start_ms", "end_ms"))
            if type(start) is int and type(end) is int:
                yield Word(str(value.get("text", "")), start, end, value.get("timed") is not False)
