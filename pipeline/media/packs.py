"""Packs and shards as bytes: uncompressed USTAR tars that are written the same way every time.

A pack holds the finished samples of one video, a shard those of many; both are the same kind of file, so that
a shard is made by copying a sample's bytes out of its pack (`copy_range`) and never by writing a member again.

    offset ─► [header KEY.mp4][data, padded to 512] [header KEY.txt][data] [header KEY.json][data] … ◄─ bytes_

A sample's members are next to each other, in the order of `manifests.sample.ALL_MEMBERS`, others after
them. Mode, owner and time are
fixed; the archive ends with two empty blocks. Reading needs no tar library: `read_members` seeks.
"""

import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from manifests.errors import UserError
from manifests.plugins import names_in
from manifests.sample import ALL_MEMBERS
from manifests.tars import BLOCK, name_of, plain_members

END = bytes(2 * BLOCK)
"""The two empty blocks that end an archive."""

MTIME_S = 315_532_800
"""Time of every member, 1980-01-01 UTC: obviously not a real time, yet late enough that no tar or zip tool warns."""

MAX_MEMBER_BYTES = 8**11 - 1
"""Largest size that a USTAR header can state (8 GiB - 1)."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,90}")
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample to be written: extension without its dot (`mp4`, `json` …) -> content, or the file that holds it."""

    key: str
    members: Mapping[str, bytes | Path]


@dataclass(frozen=True, slots=True)
class PackedSample:
    """The location of a sample in a tar.

    `offset` is the first byte of its first header, `bytes_` its total size with headers and padding; `members` gives,
    for each extension, where its data starts (from `offset`) and its size. `crc`: CRC-32 of all its bytes, -1 if it is
    not known.
    """

    key: str
    offset: int
    bytes_: int
    members: dict[str, tuple[int, int]]
    crc: int = field(default=-1, compare=False)


def write_pack(path: Path, samples: Iterable[Sample]) -> list[PackedSample]:
    """Writes the samples, in the given order, as a tar at `path`; returns where each is, with its checksum.

    The same samples give the same bytes. Raises ValueError for a key or extension that readers could not use, a sample
    without members, or a repeated key.
    """
    packed: list[PackedSample] = []
    seen: set[str] = set()
    with path.open("wb") as out:
        for sample in samples:
            if sample.key in seen:
                raise ValueError(f"key {sample.key} is repeated")
            seen.add(sample.key)
            packed.append(_write_sample(out, sample))
        out.write(END)
    with path.open("rb") as made:
        return [replace(sample, crc=_crc_of(made, sample)) for sample in packed]


def _crc_of(pack: BinaryIO, sample: PackedSample) -> int:
    pack.seek(sample.offset)
    crc, left = 0, sample.bytes_
    while left:
        block = pack.read(min(left, _COPY_BYTES))
        crc, left = zlib.crc32(block, crc), left - len(block)
    return crc


def _write_sample(out: BinaryIO, sample: Sample) -> PackedSample:
    check_key(sample.key)
    of_others = sorted(set(sample.members) - set(ALL_MEMBERS))
    unknown = [extension for extension in of_others if extension.partition(".")[0] not in names_in("members")]
    if unknown or not sample.members:
        raise ValueError(f"sample {sample.key}: members must be among {ALL_MEMBERS}, got {unknown or 'none'}")
    start = out.tell()
    members: dict[str, tuple[int, int]] = {}
    for extension in (*ALL_MEMBERS, *of_others):
        if extension in sample.members:
            members[extension] = _write_member(out, start, f"{sample.key}.{extension}", sample.members[extension])
    return PackedSample(sample.key, start, out.tell() - start, members)


def _write_member(out: BinaryIO, start: int, name: str, content: bytes | Path) -> tuple[int, int]:
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    out.write(member_header(name, size))
    data_offset = out.tell() - start
    if isinstance(content, Path):
        with content.open("rb") as source:
            copy_range(source, 0, size, out)
    else:
        out.write(content)
    out.write(bytes(-size % BLOCK))
    return data_offset, size


def member_header(name: str, size: int) -> bytes:
    """The USTAR block before a member's data. Raises ValueError where the size doesn't fit the format."""
    if size > MAX_MEMBER_BYTES:
        raise ValueError(f"{name}: {size} bytes do not fit a tar member")
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, MTIME_S, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT, encoding="ascii", errors="strict")


def check_key(key: str) -> None:
    """Raises ValueError for a key that readers would misread (a dot, a slash) or that is too long for USTAR.

    A leading `__` is fine (video ids may begin so): webdataset skips only `__NAME__` without a suffix.
    """
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"key {key!r} must be 1 to 90 of A-Z a-z 0-9 _ -")


def copy_range(source: BinaryIO, offset: int, size: int, out: BinaryIO) -> None:
    """Copies `size` bytes from `offset` of a seekable file. Raises UserError where the file ends too early."""
    source.seek(offset)
    left = size
    while left:
        chunk = source.read(min(left, _COPY_BYTES))
        if not chunk:
            raise UserError(f"{name_of(source)}: ends {left} bytes early; it is damaged or was replaced: remake it")
        out.write(chunk)
        left -= len(chunk)


def read_members(file: BinaryIO, sample: PackedSample) -> dict[str, bytes]:
    """Reads a sample's members by offset from a seekable file. Raises UserError where the file is too short."""
    members: dict[str, bytes] = {}
    for extension, (offset, size) in sample.members.items():
        file.seek(sample.offset + offset)
        members[extension] = file.read(size)
        if len(members[extension]) != size:
            raise UserError(f"{sample.key}.{extension}: the tar ends before it; it is damaged: remake it")
    return members


def index_pack(file: BinaryIO) -> Iterator[PackedSample]:
    """Yields the location of each sample, read from the headers of a seekable tar alone.

    Raises UserError if the file is not such a tar, or if a sample's members are not next to each other.
    """
    key, start, end = "", 0, 0
    members: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for info in plain_members(file):
        stem, _, extension = info.name.partition(".")
        if stem != key:
            if members:
                yield PackedSample(key, start, end - start, members)
            if stem in seen:
                raise UserError(f"{info.name}: its sample's members are not next to each other in the tar")
            key, start, members = stem, info.offset, {}
            seen.add(stem)
        if extension in members:
            raise UserError(f"{info.name}: is in its sample twice")
        members[extension] = (info.offset_data - start, info.size)
        end = info.offset_data + -(-info.size // BLOCK) * BLOCK
    if members:
        yield PackedSample(key, start, end - start, members)
