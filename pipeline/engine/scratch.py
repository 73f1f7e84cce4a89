"""The scratch folder of a machine, and in it one folder for each attempt under way.

An attempt's folder says whose it is: host, output directory, process. So the next attempt there can sweep what a
killed worker left, and touches nothing of another host, another output directory or a live process.
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

from pipeline.engine.boundary import refuse_sick_disk
from pipeline.engine.unit import PlaceFailed

_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


def host_name() -> str:
    """This machine's name, for people."""
    return socket.gethostname()


@contextmanager
def scratch_folder(root: Path, run: str, what: str) -> Iterator[Path]:
    """A new folder under the machine's scratch folder, gone when the block ends; leftovers of `run` are swept first.

    `run` is what all workers of one output directory share (its url); `what` is for people who look into the folder.
    Raises PlaceFailed where it cannot be made.
    """
    make_scratch(root)
    prefix = _prefix(run)
    sweep(root, prefix)
    scratch = root / f"{prefix}{os.getpid()}.{what}-{uuid.uuid4().hex[:8]}"
    _make(scratch)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def make_scratch(root: Path) -> None:
    """Makes the folder that holds all units' scratch folders, for this user alone. PlaceFailed where that cannot be."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = root.lstat()
    except OSError as error:
        refuse_sick_disk(error, str(root))
        raise PlaceFailed(f"{root}: the scratch folder cannot be made ({error.strerror}); set engine.scratch") from None
    if not stat.S_ISDIR(facts.st_mode):
        raise PlaceFailed(f"{root}: the scratch folder is a link; set engine.scratch to a folder of your own")
    if facts.st_uid != os.getuid():
        raise PlaceFailed(f"{root}: the scratch folder is another user's; set engine.scratch to one of your own")


def sweep(root: Path, prefix: str) -> int:
    """Removes folders whose process is dead, of this host and the run that the prefix names; returns how many."""
    n_swept = 0
    for folder in root.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition(".")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
            n_swept += 1
    return n_swept


def _prefix(run: str) -> str:
    host = _UNSAFE.sub("_", host_name())[:64]
    return f"{host}.{hashlib.sha256(run.encode()).hexdigest()[:12]}."


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make(scratch: Path) -> None:
    try:
        scratch.mkdir(mode=0o700)
    except OSError as error:
        refuse_sick_disk(error, str(scratch.parent))
        raise PlaceFailed(f"{scratch.parent}: takes no folder ({error.strerror}); set engine.scratch") from None
