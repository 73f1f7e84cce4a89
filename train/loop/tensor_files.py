"""A checkpoint's files as torch.distributed.checkpoint reads them, but so that a stranger's can't run code."""

from __future__ import annotations

import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

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


class PlainReader(FileSystemReader):
    """Reads untrusted checkpoints safely: torch's own reader unpickles their metadata, which can run any code."""

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


def reader_of(path: Path) -> PlainReader:
    """A reader whose metadata was already read once: torch would log a traceback if it were damaged."""
    reader = PlainReader(path)
    reader.read_metadata()
    return reader
