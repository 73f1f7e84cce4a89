"""The files of an output directory on a disk or in a bucket: each appears whole or not at all.

A local write goes to a temporary name in the same folder, then fsync, then rename. A bucket has no rename, but an
object appears only when its upload completes, and a call that dies half-way leaves nothing under the final name.
"""

import fcntl
import inspect
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from manifests.errors import DamagedFile, UserError
from manifests.extras import why
from manifests.inside import linked_folders, refuse_links, refuse_outside
from manifests.outage import ask_again, outlast
from manifests.parallel import side_by_side
from manifests.parquet import parquet_bytes
from manifests.ranges import Ranges
from manifests.seals import is_broken, sealed

TEMPORARY = ".tmp-"
AHEAD_BYTES = 1 << 24
"""Bytes of a file in a bucket that are read at once: most files that the driver opens are smaller."""
READS = ("cat_file", "info")
ROWS_A_GROUP = 1 << 18
"""Rows of a table that is one file: who wants those of a video reads one group, who wants all asks once a group."""


@dataclass(frozen=True)
class Files:
    """A folder or bucket prefix. Methods take paths relative to `url`. Picklable: the file system opens lazily."""

    url: str
    options: tuple[tuple[str, Any], ...] = ()
    patience_s: float = 0.0
    """How long a call waits for a remote store that does not answer. Zero in copies sent to workers: they return the
    unit, and with it their slot.
    """
    linked: tuple[str, ...] = field(default_factory=linked_folders)
    """Folders elsewhere to which links in it may lead, for what writes; workers have those of the run."""

    @cached_property
    def fs(self) -> fsspec.AbstractFileSystem:
        """The fsspec file system; listings never come from a cache."""
        protocol = fsspec.utils.get_protocol(self.url)
        options = dict(self.options)
        if protocol != "file":
            options.setdefault("use_listings_cache", False)
        try:
            urlsplit(self.url)  # ValueError for what is no address
            inspect.signature(fsspec.get_filesystem_class(protocol).__init__).bind(None, **options)
            return fsspec.filesystem(protocol, **options)
        except (ImportError, ValueError, TypeError) as error:  # a TypeError: its protocol needs more than an address
            raise UserError(f"{self.url}: cannot be opened ({why(error)})") from None

    @cached_property
    def root(self) -> str:
        """The prefix without its protocol."""
        return str(self.fs._strip_protocol(self.url)).rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the store is on a disk of this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, folder: str) -> "Files":
        """A folder inside it, as a place of its own."""
        return Files(f"{self.url}/{folder}", self.options, self.patience_s, self.linked)

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rpartition("/")[2]

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options, "patience_s": 0.0, "linked": self.linked}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def _call(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the file system, again while an outage lasts, or if what it read is in doubt."""
        call = partial(getattr(self.fs, method), path, *args, **kwargs)
        if self.patience_s:
            call = partial(outlast, call, where=self.url, patience_s=self.patience_s)
        if self.is_local or method not in READS:
            return call()
        return ask_again(call, name=path, is_listed=lambda: self._is_listed(path.removeprefix(f"{self.root}/")))

    def _is_listed(self, relative: str) -> bool:
        """Whether a list of its folder names a file."""
        folder, _, name = relative.rpartition("/")
        return name in self.names(folder, name)

    def path(self, relative: str) -> str:
        """The absolute path inside the file system. DamagedFile for a name that leads outside this store."""
        if ".." in relative.split("/") or relative.startswith("/") or "\0" in relative:
            raise DamagedFile(f"{self.url}: {relative[:200]!r} leads outside it")
        return f"{self.root}/{relative}" if relative else self.root

    # reading

    def exists(self, relative: str) -> bool:
        """Whether a file exists now."""
        self.fs.invalidate_cache()
        is_there = bool(self._call("exists", self.path(relative)))
        return is_there or (not self.is_local and self._is_listed(relative))

    def read(self, relative: str) -> bytes:
        """Reads a whole file. Raises FileNotFoundError, and DamagedFile if the name is not a valid file name."""
        try:
            return bytes(self._call("cat_file", self.path(relative), **self._in_one_request))
        except (IsADirectoryError, NotADirectoryError) as error:
            raise DamagedFile(f"{self.url}/{relative}: is not a file ({error.strerror}); restore it") from None

    @cached_property
    def _in_one_request(self) -> dict[str, int]:
        """For `cat_file`: s3fs would ask for the size first, to read pieces of a large file side by side."""
        read = getattr(self.fs, "_cat_file", None)
        return {"max_concurrency": 1} if read and "max_concurrency" in inspect.signature(read).parameters else {}

    def read_range(self, relative: str, start: int, end: int) -> bytes:
        """Reads bytes start … end-1 of a file."""
        return bytes(self._call("cat_file", self.path(relative), start=start, end=end))

    def read_sealed(self, relative: str) -> bytes:
        """Reads a document of ours. DamagedFile (also a ValueError) if its checksum (manifests/seals.py) is wrong."""
        data = self.read(relative)
        if is_broken(data):
            raise DamagedFile(f"{self.url}/{relative}: its checksum is wrong; restore it")
        return data

    def read_json(self, relative: str) -> Any:
        """Reads a JSON file. DamagedFile (also a ValueError) if it is not JSON, or its checksum is wrong."""
        try:
            return json.loads(self.read_sealed(relative))
        except DamagedFile:
            raise
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{self.url}/{relative}: is not valid JSON ({error}); restore or delete it") from None

    def open(self, relative: str) -> IO[bytes]:
        """Opens a file for random-access reading. DamagedFile if the name is not a valid file name."""
        if self.is_local and Path(self.path(relative)).is_dir():
            raise DamagedFile(f"{self.url}/{relative}: is a folder, not a file; restore it")
        if self.is_local:
            return cast(IO[bytes], self._call("open", self.path(relative), "rb"))
        ranges = Ranges(partial(self.read_range, relative), self.size(relative))
        return cast(IO[bytes], io.BufferedReader(ranges, AHEAD_BYTES))

    def size(self, relative: str) -> int:
        """The size of a file in bytes. Raises FileNotFoundError."""
        return int(self._call("info", self.path(relative))["size"])

    def names(self, folder: str, begin: str = "") -> list[str]:
        """Names of the files in a folder, sorted, without temporary ones; [] if there is no folder.

        `begin`: only names with this prefix. A bucket then lists no others, and a folder may hold millions; there must
        be no such files in subfolders.
        """
        names = self._begun(folder, begin) if begin and self._asks_by_prefix else self._listed(folder, "file", begin)
        return [name for name in names if name.startswith(begin) and name and not name.startswith(TEMPORARY)]

    @cached_property
    def _asks_by_prefix(self) -> bool:
        find = getattr(self.fs, "_find", None)
        return not self.is_local and find is not None and "prefix" in inspect.signature(find).parameters

    def _begun(self, folder: str, begin: str) -> list[str]:
        self.fs.invalidate_cache()
        try:
            paths = self._call("find", self.path(folder), prefix=begin)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def folders(self, folder: str) -> list[str]:
        """Names of the folders inside a folder, sorted; [] if there is no folder."""
        return self._listed(folder, "directory")

    def sizes(self, folder: str) -> dict[str, int]:
        """The size in bytes of each file in a folder, by its name; {} if there is no folder."""
        return {_name(e): int(e["size"]) for e in self._entries(folder) if e["type"] == "file"}

    def _listed(self, folder: str, kind: str, begin: str = "") -> list[str]:
        """Sorted names of a folder's entries of fsspec's kind `file` or `directory`; on a disk with this beginning."""
        if self.is_local:
            return self._in_folder(folder, kind, begin)
        return sorted(_name(e) for e in self._entries(folder) if e["type"] == kind)

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        self.fs.invalidate_cache()
        try:
            return list(self._call("ls", self.path(folder), detail=True))
        except FileNotFoundError:
            return []

    def _in_folder(self, folder: str, kind: str, begin: str) -> list[str]:
        """The same of a folder on a disk, by names and kinds alone: fsspec asks for each file's size and times."""
        try:
            with os.scandir(self.path(folder)) as entries:
                matching = [entry for entry in entries if entry.name.startswith(begin)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        if kind == "directory":
            return sorted(entry.name for entry in matching if entry.is_dir(follow_symlinks=False))
        return sorted(entry.name for entry in matching if entry.is_file(follow_symlinks=False))

    # writing

    def path_to_change(self, relative: str) -> str:
        """`path` of a file that is to be written, replaced or deleted. UserError if a link leads to it from outside."""
        path = self.path(relative)
        if self.is_local:
            refuse_outside(os.path.dirname(path), self.root, self.linked)  # noqa: PTH120 - on each write
        return path

    def refuse_links(self) -> None:
        """Raises UserError if a folder in it is a link elsewhere: a command says so before it begins to write."""
        if self.is_local:
            refuse_links(self.root, self.linked)

    def write(self, relative: str, data: bytes) -> None:
        """Writes a whole file at once: readers see the old file or the new, never half of a file."""
        if not self.is_local:
            self._call("pipe_file", self.path(relative), data)
            return
        with self._appearing(relative) as temporary:
            temporary.write_bytes(data)

    def put(self, local: Path, relative: str) -> None:
        """Puts a finished scratch file under its final name, in one step for readers. Where both are on one file system
        it is the same file under two names, so that nothing may write to it any more.
        """
        if not self.is_local:
            self._call("put_file", str(local), self.path(relative))
            return
        with self._appearing(relative) as temporary:
            try:
                os.link(local.resolve(), temporary)
            except OSError:  # another file system, or one without links
                shutil.copyfile(local, temporary)

    @contextmanager
    def _appearing(self, relative: str) -> Iterator[Path]:
        """A path on this disk for a file that gets its name once the block has written all of it."""
        target = Path(self.path_to_change(relative))
        temporary = _temporary_beside(target)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            with _no_folder(target):
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def write_sealed(self, relative: str, document: bytes) -> None:
        """Writes a document with its checksum (manifests/seals.py)."""
        self.write(relative, sealed(document))

    def write_json(self, relative: str, value: Any) -> None:
        """Writes a JSON file with sorted keys, so that the same value gives the same bytes, and its checksum."""
        self.write_sealed(relative, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode())

    def write_table(self, relative: str, table: pa.Table, **options: Any) -> None:
        """Writes a Parquet file with checksums, in row groups of ROWS_A_GROUP. `options`: of pyarrow's own."""
        self.write(relative, parquet_bytes(table, row_group_size=ROWS_A_GROUP, **options))

    def create(self, relative: str, data: bytes) -> bool:
        """Creates a file; returns False if it exists already (O_EXCL on a disk, If-None-Match in a bucket)."""
        if self.is_local:
            target = Path(self.path_to_change(relative))
            temporary = _temporary_beside(target)
            try:
                temporary.write_bytes(data)
                os.link(temporary, target)  # appears whole, or not at all if another process was first
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True
        try:
            self._call("pipe_file", self.path(relative), data, mode="create")
        except FileExistsError:
            return self._holds(relative, data)
        return True

    def _holds(self, relative: str, data: bytes) -> bool:
        """Whether a file holds this: a write whose answer was lost is made again, and refused since it took place."""
        try:
            return self.read(relative) == data
        except FileNotFoundError:
            return False

    def replace(self, relative: str, data: bytes, *, seen: bytes) -> bool:
        """Overwrites a file if it still holds `seen`; False if it doesn't (flock on a disk, If-Match in a bucket)."""
        if self.is_local:
            target = Path(self.path_to_change(relative))
            with _guard_of(target):
                is_as_seen = target.exists() and target.read_bytes() == seen
                if is_as_seen:
                    self.write(relative, data)
            return is_as_seen
        try:
            etag = str(self._call("info", self.path(relative)).get("ETag", ""))
            if self.read(relative) != seen:
                return False
            self._call("pipe_file", self.path(relative), data, **({"IfMatch": etag} if etag else {}))
        except (FileExistsError, FileNotFoundError):
            return self._holds(relative, data)
        except OSError as error:
            if "PreconditionFailed" in repr(error.__cause__ or error):
                return self._holds(relative, data)
            raise
        return True

    def delete(self, relative: str) -> None:
        """Deletes a file; no error if there is none."""
        target = self.path_to_change(relative)
        with suppress(FileNotFoundError), _no_folder(target):
            self._call("rm_file", target)

    def delete_all(self, relatives: Sequence[str]) -> None:
        """Deletes files, several at a time."""
        side_by_side(self.delete, relatives)

    def delete_folder(self, relative: str) -> None:
        """Deletes a folder with all that is in it; no error if there is none."""
        with suppress(FileNotFoundError):
            self._call("rm", self.path_to_change(relative), recursive=True)

    def sweep(self) -> int:
        """Deletes temporary files that a killed run left; returns how many. Only call while holding the run lock."""
        if not self.is_local or not Path(self.root).is_dir():
            return 0
        leftovers = list(Path(self.root).rglob(f"{TEMPORARY}*"))
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return len(leftovers)


def _name(entry: dict[str, Any]) -> str:
    """The name of an entry of a listing, without its folder."""
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


@contextmanager
def _guard_of(target: Path) -> Iterator[None]:
    """Keeps other processes out of the block. The flock is released however its holder ends."""
    guard = target.with_name(f"{TEMPORARY}{target.name}.guard")
    if guard.is_symlink():  # ours are files: opening it would empty what it leads to
        guard.unlink()
    while True:
        with guard.open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not _is_still(guard, held):  # the previous holder removed it while this process waited
                continue
            try:
                yield
            finally:
                guard.unlink(missing_ok=True)
            return


def _is_still(path: Path, opened: IO[bytes]) -> bool:
    """Whether a path still leads to the opened file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def _no_folder(target: str | Path) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError:
        raise DamagedFile(f"{target}: is a folder, not a file; remove it") from None


def _temporary_beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
