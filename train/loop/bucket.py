"""A run whose `out` is an address in a bucket.

    ADDRESS/checkpoints/     written there as training goes on, and the newest read from there (checkpoint.py)
    ADDRESS/config.yaml …    the other files of a run folder, copied with each checkpoint and at the end

A run works in a folder of this machine as in any other. A new node fetches the small files and the newest checkpoint,
and goes on; what other nodes than the first rank's wrote (`lost.jsonl`, `poisoned.txt`) stays on them. Nothing keeps
two runs from one address. Credentials and endpoint come from the environment (AWS_ENDPOINT_URL …).
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import UserError
from manifests.files import Files
from train.distributed import Process, agree
from train.loop.checkpoint import find_checkpoint
from train.whole_file import whole_file

PATIENCE_S = 600.0
"""How long a call waits for a bucket that does not answer."""
COPY_BYTES = 1 << 24
ONLY_HERE = ("index", "read")
"""Folders that are not copied: what is fetched or made again from the data set, and checkpoints that were read."""
FETCHED = ("", "tokenizer")
"""Folders whose files a run reads when it goes on."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a run keeps its files."""

    here: Path
    """The folder of this machine in which it works: for a run on a disk, its own."""
    place: Files
    """The run's folder or address, which holds its checkpoints."""

    def copy(self) -> None:
        """Puts the files of the folder at the address. The first rank calls it; for a run on a disk it does nothing."""
        if self.place.is_local:
            return
        for path in self.here.rglob("*"):
            name = path.relative_to(self.here)
            if name.parts[0] not in ONLY_HERE and not path.name.startswith(".") and path.is_file():
                self.place.put(path, name.as_posix())


@contextmanager
def at_address(out: str, process: Process) -> Iterator[Home]:
    """Works on an address in a folder of this machine, for the block's duration. All ranks call it."""
    bucket = Files(out.rstrip("/"), patience_s=PATIENCE_S)
    home = Home(working_folder(bucket.url), bucket)
    if process.is_first:
        for path in home.here.iterdir():
            if path.name not in ONLY_HERE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _download(bucket, home.here, *FETCHED)
    agree("")  # the other ranks of this machine wait until the first has fetched
    try:
        yield home
    finally:
        if process.is_first:
            home.copy()


def at_hand(run: str, *, best: bool = False) -> Path:
    """A path to a run, or to one of its checkpoints, as it is; for an address, a copy of its newest or best checkpoint.

    The copy lies in a folder of this machine, with what is needed to use it. UserError if there is none.
    """
    if "://" not in run:
        return Path(run)
    checkpoint = find_checkpoint(Files(run.rstrip("/"), patience_s=PATIENCE_S), best=best)
    address, _, step = checkpoint.url.rpartition("/checkpoints/")
    if not address:
        raise UserError(f"{run}: give a run's address, or that of one of its checkpoints/step-*")
    place, folder = Files(address, patience_s=PATIENCE_S), working_folder(address) / "read"
    _download(place, folder, *FETCHED, f"checkpoints/{step}")
    return folder / "checkpoints" / step


def _download(place: Files, folder: Path, *inside: str) -> None:
    """Copies the files of these folders of an address here. Ranks of a machine may all do so."""
    for within in inside:
        there = place / within if within else place
        for name in there.names(""):
            with whole_file(folder / within / name) as part, there.open(name) as source, part.open("wb") as file:
                shutil.copyfileobj(source, file, COPY_BYTES)


def working_folder(url: str) -> Path:
    """This user's folder on this machine in which a run at this address works."""
    name = f"hdvila-train-{os.getuid()}-{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to someone else; set TMPDIR to a folder of your own")
    return folder
