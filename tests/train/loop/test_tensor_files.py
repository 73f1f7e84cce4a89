"""A checkpoint's files: a stranger's run no code, and a damaged description is one message."""

from __future__ import annotations

import pathlib
import pickle
from enum import Enum

import pytest
import torch
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, BytesStorageMetadata

from manifests.errors import UserError
from tests.train.loop.test_checkpoint import FACTS, a_checkpointer, capture, flat, parts, save, step_of
from train.loop.checkpoint import restore


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


@pytest.mark.parametrize("how", ["description", "entry", "elsewhere"])
def test_a_strangers_checkpoint_runs_nothing(tmp_path, how):
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*parts()), FACTS)
    file = step_of(tmp_path, 1) / ".metadata"
    metadata = pickle.loads(file.read_bytes())
    if how == "description":
        metadata = Attack(tmp_path / "touched")
    elif how == "entry":
        metadata.state_dict_metadata["model.temperature.logit_scale"] = BytesStorageMetadata()
    else:
        for place in metadata.storage_data.values():
            place.relative_path = "../../secret"
    file.write_bytes(pickle.dumps(metadata))

    with pytest.raises(UserError, match="does not fit this model, or is damaged"):
        restore(step_of(tmp_path, 1), *parts())
    assert not (tmp_path / "touched").exists()


class AsInPython3110(pickle._Pickler):
    """Writes enum members as Python 3.11.0 to 3.11.3 do: getattr(class, name)."""

    def reducer_override(self, value):
        if isinstance(value, Enum):
            return getattr, (type(value), value.name)
        return NotImplemented


def test_a_checkpoint_written_by_python_3_11_2_is_restored(tmp_path):
    saved = parts()
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*saved), FACTS)
    file = step_of(tmp_path, 1) / ".metadata"
    metadata = pickle.loads(file.read_bytes())
    with file.open("wb") as stream:
        AsInPython3110(stream, protocol=4).dump(metadata)
    assert b"getattr" in file.read_bytes()

    other = parts(1)
    restore(step_of(tmp_path, 1), *other)

    one, two = flat(capture(*saved)), flat(capture(*other))
    assert all(torch.equal(one[k], two[k]) for k in one)


class Look:
    """Pickled as a look-up of an attribute."""

    def __init__(self, thing, name):
        self.look = getattr, (thing, name)

    def __reduce__(self):
        return self.look


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (pathlib.PosixPath, "touch"),
        (_MEM_FORMAT_ENCODING, "__class__"),
        (_MEM_FORMAT_ENCODING, "__subclasses__"),
        (_MEM_FORMAT_ENCODING, 1),
        ("text", "format"),
    ],
)
def test_a_strangers_checkpoint_looks_up_nothing_but_members_of_known_enums(tmp_path, thing, name):
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*parts()), FACTS)
    (step_of(tmp_path, 1) / ".metadata").write_bytes(pickle.dumps(Look(thing, name)))

    with pytest.raises(
        UserError, match=r"its description holds builtins\.getattr, which no checkpoint of tensors needs"
    ):
        restore(step_of(tmp_path, 1), *parts())


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80\x04.", b"\x80\x04K\x01."])
def test_a_damaged_description_is_one_message(tmp_path, data, caplog):
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*parts()), FACTS)
    (step_of(tmp_path, 1) / ".metadata").write_bytes(data)

    with pytest.raises(UserError, match="does not fit this model, or is damaged"):
        restore(step_of(tmp_path, 1), *parts())
    assert not [record for record in caplog.records if record.exc_info], "torch logs a traceback"
