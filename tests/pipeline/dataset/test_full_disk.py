"""A disk that is full at any write of a command: one message, and the same command does it once there is room."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import UserError, is_of_a_disk
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_clips, export_hdvila
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.report.page import write_report
from tests.pipeline.dataset.damage import faults

PLACES = 10
GONE = Tombstones(videos=frozenset({"video-00001"}))
COMMANDS: dict[str, Callable[[Store, Store], object]] = {
    "merge": lambda source, out: merge([source], out),
    "reshard": lambda source, out: reshard(source, out, ShardsConfig(max_samples=2)),
    "export --exact": export_clips,
    "remove": lambda source, out: remove(source, GONE),
    "remove --purge": lambda source, out: remove(source, GONE, purge=True),
    "report": lambda source, out: write_report(source),
}


class Disk:
    """Has room for a number of files; what is written after them finds it full."""

    def __init__(self) -> None:
        self.room, self.n_written = 1_000_000, 0
        self._fsync = os.fsync

    def fsync(self, handle: int) -> None:
        self.n_written += 1
        if self.n_written > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._fsync(handle)

    def has_room_for(self, n_files: int) -> None:
        self.room, self.n_written = n_files, 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.mark.parametrize("n_files", [0, 1])
def test_an_export_that_found_the_disk_full_is_done_by_the_same_command(
    made: Path, tmp_path: Path, disk: Disk, n_files: int
) -> None:
    out = Store(str(tmp_path / "out"))
    disk.has_room_for(n_files)
    with pytest.raises(OSError, match="No space left"):
        export_hdvila(Store(str(made)), out)
    disk.has_room_for(2)

    assert export_hdvila(Store(str(made)), out).n_clips == 5
    assert out.names("") == sorted([CLIPS_NAME, TEXTS_NAME])


def test_an_export_leaves_the_texts_of_another_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / TEXTS_NAME).write_text("somebody's")
    with pytest.raises(UserError, match=rf"{TEXTS_NAME}: exists already"):
        export_hdvila(Store(str(made)), Store(str(tmp_path)))
    assert (tmp_path / TEXTS_NAME).read_text() == "somebody's"


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_is_full_at_ten_places_costs_a_message_each(
    command: str, made: Path, tmp_path: Path, disk: Disk
) -> None:
    def run(name: str) -> str:
        """What a command says on a copy; "" if it ends well."""
        source = tmp_path / f"{name} set"
        if not source.exists():
            shutil.copytree(made, source)
        try:
            COMMANDS[command](Store(str(source)), Store(str(tmp_path / f"{name} out")))
        except OSError as error:
            assert is_of_a_disk(error)
            return str(error)
        except UserError as error:
            return str(error)
        return ""

    assert run("whole") == ""
    n_writes = disk.n_written
    assert n_writes >= 2
    for place in sorted({n_writes * i // PLACES for i in range(PLACES)} | {n_writes - 1}):
        disk.has_room_for(place)
        said = run(f"{place}")
        assert "No space left" in said, f"write {place} of {n_writes}"
        disk.has_room_for(1_000_000)
        if "the data set is whole" not in said:
            assert run(f"{place}") == ""
        out = tmp_path / f"{place} out"
        assert faults(out if out.exists() else tmp_path / f"{place} set") == []
    assert not list(tmp_path.rglob(".tmp-*"))
