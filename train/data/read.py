"""Reads the bytes of a sample's members by offset: a local `pread`, or a ranged GET from an object store.

Only the requested members are read, neighbours together (reading a gap of up to `GAP_BYTES` is cheaper than a second
request). The tar header before the first member is read too and checked: if a shard was replaced under an old index,
this is noticed at once, instead of giving another clip's pixels.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from manifests.errors import is_of_a_store, is_passing, storage_errors
from train.data.index import Index

GAP_BYTES = 64 * 1024
HEADER_BYTES = 512
OPEN_FILES = 64
MAX_MEMBER_BYTES = 2 * 1024**3
"""Largest member of a clip."""
RETRY_AFTER_S = (0.5, 2.0, 8.0)
"""Seconds to wait between attempts of a read."""
FINAL_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""Errors that another attempt would not change."""


class ShardUnreadable(Exception):
    """A shard cannot be read (missing, truncated, replaced). Counted by shard; `url` names it."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: {detail}")
        self.url, self.detail = url, detail

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return ShardUnreadable, (self.url, self.detail)


class Reader:
    """Reads members of an index's samples. Each process has its own; up to `OPEN_FILES` files stay open (LRU)."""

    def __init__(self, index: Index, storage_options: Mapping[str, Any] | None = None) -> None:
        self._index = index
        self._options = dict(storage_options or {})
        self._fs: fsspec.AbstractFileSystem | None = None
        self._files: OrderedDict[str, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # File descriptors and sessions can't be pickled: each worker opens its own.
        return {"_index": self._index, "_options": self._options, "_fs": None, "_files": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def is_remote(self) -> bool:
        """Whether reads go over a network rather than to a disk."""
        return "://" in self._index.manifest.root and not self._index.manifest.root.startswith("file://")

    def read(self, sample: int, extensions: Sequence[str]) -> dict[str, bytes]:
        """{extension: data} of those members that the sample has; of a folder's, the path of its file, `film`. Raises
        ShardUnreadable."""
        index = self._index
        if index.films:
            return {"film": os.fsencode(index.films[index.key(sample)])}
        number = int(index.shard[sample])
        if not 0 <= number < len(index.shards):
            raise ShardUnreadable(
                index.manifest.root, f"the index refers to shard {number}; the manifest has {len(index.shards)}"
            )
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
        """Bytes start … stop-1 of a file; retries what a store refuses temporarily."""
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
        """Closes all files."""
        while self._files:
            os.close(self._files.popitem()[1])


def _is_final(error: BaseException) -> bool:
    return isinstance(error, FINAL_ERRORS) or (is_of_a_store(error) and not is_passing(error))


def _runs(wanted: Sequence[tuple[int, int, str]]) -> list[list[tuple[int, int, str]]]:
    """Groups members into runs that are fetched with one read each; `wanted` is sorted by offset."""
    runs: list[list[tuple[int, int, str]]] = []
    for member in wanted:
        if runs and member[0] - (runs[-1][-1][0] + runs[-1][-1][1]) <= GAP_BYTES:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs


def _check_offsets(url: str, members: Mapping[str, tuple[int, int]], shard_bytes: int) -> None:
    """Raises ShardUnreadable for offsets outside the shard: an untrusted index could make us allocate any amount."""
    for extension, (offset, size) in members.items():
        if offset < HEADER_BYTES or not 0 <= size <= MAX_MEMBER_BYTES or offset + size > shard_bytes:
            raise ShardUnreadable(url, f"the index has {extension} at {offset}+{size} of {shard_bytes} bytes")


def _check_header(url: str, block: bytes, name: str) -> None:
    name_there = block[:100].rstrip(b"\0").decode("utf-8", "replace")
    if name_there.rpartition("/")[2] != name:
        raise ShardUnreadable(url, f"holds {name_there[:80]!r} where the index has {name!r}: not the shard it was")
