"""Bytes of a sample's members, read by offset: a local `pread`, or one ranged GET of an object store.

Only the members that were asked for are read, neighbours in one go (a gap of up to `GAP_BYTES` is cheaper to read than
a second request). The tar header before the first member is read along and checked: a shard that was replaced under
an old index is noticed at once instead of feeding another clip's pixels.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from manifests.storage import is_of_a_store, is_passing, storage_errors
from train.data.index import Index

GAP_BYTES = 64 * 1024
HEADER_BYTES = 512
OPEN_FILES = 64
MAX_MEMBER_BYTES = 2 * 1024**3
"""No clip's member is larger."""
RETRY_AFTER_S = (0.5, 2.0, 8.0)
"""Waits between the tries of one read."""
FINAL_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What another try would not change."""


class ShardUnreadable(Exception):
    """A shard cannot be read (absent, cut short, replaced). Counted by shard; `url` names it."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: {detail}")
        self.url, self.detail = url, detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return ShardUnreadable, (self.url, self.detail)


class Reader:
    """Reads members of the samples of one index. Each process has its own; files stay open, the oldest closes first."""

    def __init__(self, index: Index, storage_options: Mapping[str, Any] | None = None) -> None:
        self._index = index
        self._options = dict(storage_options or {})
        self._fs: fsspec.AbstractFileSystem | None = None
        self._files: OrderedDict[str, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # Descriptors and sessions don't travel: each worker opens its own.
        return {"_index": self._index, "_options": self._options, "_fs": None, "_files": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def is_remote(self) -> bool:
        """Whether a read waits for a network, and not for a disk."""
        return "://" in self._index.manifest.root and not self._index.manifest.root.startswith("file://")

    def read(self, sample: int, extensions: Sequence[str]) -> dict[str, bytes]:
        """{extension: data} of those members, where the sample has them. Raises ShardUnreadable."""
        index = self._index
        number = int(index.shard[sample])
        if not 0 <= number < len(index.shards):
            raise ShardUnreadable(index.manifest.root, f"the index names shard {number} of {len(index.shards)}")
        shard, members = index.shards[number], index.members(sample)
        url = index.manifest.resolve(shard.url)
        _check_offsets(url, members, shard.bytes_)
        wanted = sorted((members[e][0], members[e][1], e) for e in extensions if e in members)
        out: dict[str, bytes] = {}
        for number, run in enumerate(_runs(wanted)):
            header = HEADER_BYTES if number == 0 else 0
            start, stop = run[0][0] - header, run[-1][0] + run[-1][1]
            block = self._range(url, start, stop)
            if header:
                _check_header(url, block, f"{index.key(sample)}.{run[0][2]}")
            out.update({e: block[o - start : o - start + size] for o, size, e in run})
        return out

    def _range(self, url: str, start: int, stop: int) -> bytes:
        """Bytes start … stop-1 of a file; what a store refuses for the moment is asked for again."""
        for wait_s in (*RETRY_AFTER_S, None):
            try:
                block = self._once(url, start, stop)
                break
            except storage_errors() as error:
                if wait_s is None or _is_final(error):
                    raise ShardUnreadable(url, str(error)) from None
                time.sleep(wait_s)
        if len(block) != stop - start:
            raise ShardUnreadable(url, f"ends at byte {start + len(block)}, the index promises {stop}")
        return block

    def _once(self, url: str, start: int, stop: int) -> bytes:
        fs, path = self._filesystem(url)
        if isinstance(fs, LocalFileSystem):
            return os.pread(self._open(path), stop - start, start)
        return bytes(fs.cat_file(path, start=start, end=stop))

    def _filesystem(self, url: str) -> tuple[fsspec.AbstractFileSystem, str]:
        if self._fs is None:
            self._fs = fsspec.core.url_to_fs(url, **self._options)[0]
        return self._fs, str(self._fs._strip_protocol(url))

    def _open(self, path: str) -> int:
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path]
        if len(self._files) >= OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._files[path]

    def close(self) -> None:
        """Close what is open."""
        while self._files:
            os.close(self._files.popitem()[1])


def _is_final(error: BaseException) -> bool:
    return isinstance(error, FINAL_ERRORS) or (is_of_a_store(error) and not is_passing(error))


def _runs(wanted: Sequence[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """Members in runs that one read each fetches; `wanted` is sorted by offset."""
    runs: list[list[tuple[int, int, str]]] = []
    for member in wanted:
        if runs and member[0] - (runs[-1][-1][0] + runs[-1][-1][1]) <= GAP_BYTES:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs


def _check_offsets(url: str, members: Mapping[str, tuple[int, int]], shard_bytes: int) -> None:
    """An index comes from the data set's author: nothing is read, or made room for, outside the shard."""
    for extension, (offset, size) in members.items():
        if offset < HEADER_BYTES or not 0 <= size <= MAX_MEMBER_BYTES or offset + size > shard_bytes:
            raise ShardUnreadable(url, f"the index has {extension} at {offset}+{size} of {shard_bytes} bytes")


def _check_header(url: str, block: bytes, name: str) -> None:
    found = block[:100].rstrip(b"\0").decode("utf-8", "replace")
    if found.rpartition("/")[2] != name:
        raise ShardUnreadable(url, f"holds {found[:80]!r} where the index has {name!r}: not the shard it was")
