"""A checkpoint's files, on a disk or in a bucket, as torch.distributed.checkpoint writes and reads them.

    step-*/__RANK_0.distcp  facts.json  .metadata    in the order in which they are put there

Their description, `.metadata`, is the last of them and makes them a checkpoint. torch's own reader unpickles it, which
can run any code; this one creates nothing but what describes tensors.
"""

import os
import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystem as Disk
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from manifests.files import Files

METADATA = ".metadata"
FACTS = "facts.json"

_METADATA = {
    "torch.distributed.checkpoint.metadata": {
        "Metadata",
        "MetadataIndex",
        "TensorStorageMetadata",
        "ChunkStorageMetadata",
        "TensorProperties",
        "StorageMeta",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
}
"""All classes that the pickled metadata of a checkpoint of tensors needs."""


class _Unpickler(pickle.Unpickler):
    """Creates only the objects that a checkpoint's metadata consists of, so that an untrusted file can't run code."""

    def find_class(self, module: str, name: str) -> Any:
        plain = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype | torch.layout)
        if plain or name in _METADATA.get(module, ()):
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _member_of  # Python 3.11.0 to 3.11.3 write an enum's member as getattr(class, name)
        raise _not_needed(module, name)


def _member_of(enum: object, name: object) -> Enum:
    """getattr restricted to members of the enums in `_METADATA`; anything else is refused."""
    if isinstance(enum, type) and issubclass(enum, Enum) and enum.__name__ in _METADATA.get(enum.__module__, ()):
        member = enum.__members__.get(str(name))
        if member is not None:
            return member
    raise _not_needed("builtins", "getattr")


def _not_needed(module: str, name: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"its description holds {module}.{name}, which no checkpoint of tensors needs")


class _InStore(Disk):
    """torch's operations on files, in the folder of a store; its paths are names in it."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[Any]:
        """Opens a file. One for a bucket is written to a scratch file, which is uploaded when it is whole."""
        name = os.fspath(path)
        if mode == "rb":
            with self._files.open(name) as file:
                yield file
        elif self._files.is_local:
            with Path(self._files.path(name)).open(mode) as file:
                yield file
        else:
            with tempfile.TemporaryDirectory(prefix="hdvila-checkpoint-") as scratch:
                whole = Path(scratch) / name
                with whole.open(mode) as file:
                    yield file
                self._files.put(whole, name)

    def mkdir(self, path: str | os.PathLike[str]) -> None:
        """Makes the folder itself; a bucket has none."""
        if self._files.is_local:
            Path(self._files.root).mkdir(parents=True, exist_ok=True)

    def exists(self, path: str | os.PathLike[str]) -> bool:
        """Whether there is a file."""
        return self._files.exists(os.fspath(path))

    def rm_file(self, path: str | os.PathLike[str]) -> None:
        """Takes a file away: a description that is in the way of torch's own."""
        self._files.delete(os.fspath(path))

    def rename(self, path: str | os.PathLike[str], new_path: str | os.PathLike[str]) -> None:
        """Gives a file its final name. In a bucket, which has no rename, it is put again."""
        old, new = os.fspath(path), os.fspath(new_path)
        if self._files.is_local:
            folder = Path(self._files.root)
            (folder / old).rename(folder / new)
            _sync(folder)
            _sync(folder.parent)
            return
        self._files.write(new, self._files.read(old))
        self._files.delete(old)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Writer(FileSystemWriter):
    """Writes a checkpoint into a folder; on the first rank its facts and, last, its description."""

    def __init__(self, folder: Files, facts: str) -> None:
        super().__init__("", sync_files=folder.is_local)
        self.fs: Disk = _InStore(folder)
        self.path: Any = ""
        self._folder, self._facts = folder, facts

    def finish(self, metadata: Metadata, results: list[list[Any]]) -> None:
        """Makes what was written a checkpoint."""
        self._folder.write(FACTS, self._facts.encode())
        super().finish(metadata, results)


class PlainReader(FileSystemReader):
    """Reads untrusted checkpoints safely: torch's own reader unpickles their metadata, which can run any code."""

    def __init__(self, folder: Files) -> None:
        super().__init__("")
        self.fs: Disk = _InStore(folder)
        self.path: Any = ""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The metadata. UnpicklingError if it describes anything but tensors in files of the same folder."""
        with self.fs.create_stream(self._get_metadata_path(kwargs.get("rank")), "rb") as file:
            try:
                metadata = _Unpickler(file).load()
            except (AttributeError, IndexError, TypeError, MemoryError) as error:  # damaged bytes can raise these too
                raise pickle.UnpicklingError(f"its description is damaged ({error})") from None
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError("its description is not valid")
        for name, entry in metadata.state_dict_metadata.items():
            if not isinstance(entry, TensorStorageMetadata):
                raise pickle.UnpicklingError(f"{name} is not a tensor")
        for stored in (metadata.storage_data or {}).values():
            if Path(stored.relative_path).name != str(stored.relative_path):
                raise pickle.UnpicklingError(f"it points outside of its folder, to {stored.relative_path}")
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


def reader_of(folder: Files) -> PlainReader:
    """A reader whose metadata was already read once: torch would log a traceback if it were damaged."""
    reader = PlainReader(folder)
    reader.read_metadata()
    return reader
