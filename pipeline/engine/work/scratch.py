"""The scratch folder of a machine, with a folder inside for each attempt under way.

The name of an attempt's folder tells its owner: host, output directory, process; while it waits between the two tasks
of a unit, the driver. So the next attempt there can sweep what a killed worker left, without touching anything of
another host, another output directory or a live process.
"""

import hashlib
import os
import re
import shutil
import socket
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manifests.lock import is_alive
from pipeline.engine.work.boundary import refuse_sick_disk
from pipeline.engine.work.unit import PlaceFailed

_HELD = "held."
_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


def host_name() -> str:
    """This machine's name, for display."""
    return socket.gethostname()


class HeldGone(Exception):
    """A folder held for its unit no longer exists."""


@contextmanager
def scratch_folder(root: Path, run: str, what: str, held: Path | None = None) -> Iterator[Path]:
    """Makes a folder under the machine's scratch folder, removed when the block ends; sweeps leftovers of `run` first.

    `run` is shared by all workers of one output directory (its url); `what` tells people what the folder is for.
    `held`: a folder kept by `hold`, to use instead of a new folder. Raises PlaceFailed if it cannot be made, HeldGone.
    """
    make_scratch(root)
    prefix = _prefix(run)
    sweep(root, prefix)
    scratch = root / f"{prefix}{os.getpid()}.{what}-{uuid.uuid4().hex[:8]}"
    if held is None:
        _make(scratch)
    else:
        _take(held, scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def make_scratch(root: Path) -> None:
    """Makes the root of all units' scratch folders, accessible to this user only. Raises PlaceFailed if it can't."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = root.lstat()
    except OSError as error:
        refuse_sick_disk(error, str(root))
        raise PlaceFailed(f"{root}: the scratch folder cannot be made ({error.strerror}); set engine.scratch") from None
    if not stat.S_ISDIR(facts.st_mode):
        raise PlaceFailed(f"{root}: the scratch folder is a link; set engine.scratch to a folder of your own")
    if facts.st_uid != os.getuid():
        raise PlaceFailed(f"{root}: the scratch folder belongs to another user; set engine.scratch to one of your own")


def hold(scratch: Path, root: Path, run: str, driver: str) -> Path:
    """Keeps a scratch folder beyond its block, until an attempt of this driver takes it over; returns its new path.

    Removes what other drivers of this run held: only one is alive at a time.
    """
    prefix = f"{_prefix(run)}{_HELD}"
    for folder in root.glob(f"{prefix}*"):
        if not folder.name.startswith(f"{prefix}{driver}."):
            shutil.rmtree(folder, ignore_errors=True)
    return scratch.rename(root / f"{prefix}{driver}.{scratch.name.removeprefix(_prefix(run))}")


def _take(held: Path, scratch: Path) -> None:
    try:
        held.rename(scratch)
    except FileNotFoundError:
        raise HeldGone(f"{held}: what was fetched is gone") from None


def sweep(root: Path, prefix: str) -> int:
    """Removes folders whose process is dead, for the host and run in the prefix; returns how many."""
    n_swept = 0
    for folder in root.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition(".")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
            n_swept += 1
    return n_swept


def _prefix(run: str) -> str:
    host = _UNSAFE.sub("_", host_name())[:64]
    return f"{host}.{hashlib.sha256(run.encode()).hexdigest()[:12]}."


def _make(scratch: Path) -> None:
    try:
        scratch.mkdir(mode=0o700)
    except OSError as error:
        refuse_sick_disk(error, str(scratch.parent))
        raise PlaceFailed(
            f"{scratch.parent}: no folder can be made there ({error.strerror}); set engine.scratch"
        ) from None
