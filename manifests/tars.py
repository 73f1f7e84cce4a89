"""The headers of tars such as ours, read without what a tar library does for others.

tarfile's own reader would follow links, long names, sparse maps and sizes of 2^60 that a stranger's header names.
"""

import io
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from manifests.errors import UserError

BLOCK = tarfile.BLOCKSIZE
"""Bytes of a tar block: headers take one, data is padded to whole blocks."""


def plain_members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yields the headers of a seekable tar: plain files that end before it does, and nothing else.

    Raises UserError for a tar that has anything else.
    """
    end, at = file.seek(0, io.SEEK_END), 0
    while True:
        file.seek(at)
        block = file.read(BLOCK)
        if block == bytes(BLOCK) or 0 < at == end:
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise UserError(f"{name_of(file)}: is not a readable tar ({error} at byte {at}); remake it") from None
        info.offset, info.offset_data = at, at + BLOCK
        at = info.offset_data + -(-info.size // BLOCK) * BLOCK
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or not 0 <= info.size <= end - info.offset_data:
            what = f"{info.name[:100]!r} at byte {info.offset} is a link or folder, or ends behind the tar"
            raise UserError(f"{name_of(file)}: is not a readable tar ({what}); remake it")
        yield info


def name_of(file: BinaryIO) -> str:
    """The name of a file for messages: its path, if any."""
    name = getattr(file, "name", getattr(file, "path", ""))
    return name if name and isinstance(name, str) else "the tar"
