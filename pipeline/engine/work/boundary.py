"""The failure boundary: what an item's failure costs (that item), and which failures are not the item's fault.

    made              returned
    a reject          Rejected was raised, or an unforeseen error (`internal_error`): the other items go on
    passed on         Transient, StopRun, UserError, PlaceFailed, time and memory limits, Ctrl-C

The pipeline's only `except Exception` is here.
"""

import re
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from manifests.errors import FULL, SICK, UserError, is_of_a_store, is_passing
from manifests.extras import cure
from manifests.reasons import Reason
from pipeline.engine.work.unit import Context, PlaceFailed, Reject, Rejected, StopRun, Transient

Made = TypeVar("Made")

STORE_WAIT_S = 5.0
"""Seconds to wait before retrying a unit after a storage failure."""
UNREADABLE_IN_A_ROW = 3
"""After this many unreadable input files in a row, the disk is taken to be failing."""
ROW_ENDS_AFTER_S = 600.0

DIED = "two runs in one process died while they worked on it: it crashes the program, or they were killed"
"""The detail of a `killed_worker` where no worker but the run itself died."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_UNREADABLE_LOG = ".unreadable-inputs"


def per_item(context: Context, video_id: str, work: Callable[[], Made]) -> Made | Reject:
    """Returns what `work` returns for an item, or the reject it ended in. The module docstring lists what is passed
    on.
    """
    if context.began is None:
        return guarded(context, video_id, work)
    try:
        if context.began(video_id):
            return Reject(Reason.KILLED_WORKER, video_id, detail=DIED)
        return guarded(context, video_id, work)
    finally:
        context.began("")


def guarded(context: Context, video_id: str, work: Callable[[], Made]) -> Made | Reject:
    """As `per_item`, for a whole unit."""
    try:
        return work()
    except Rejected as error:
        return Reject(error.reason, video_id, error.clip_id, error.detail, error.retry_after_s)
    except (Transient, StopRun, PlaceFailed, UserError, MemoryError):
        raise
    except Exception as error:
        _raise_if_of_the_place(error, context)
        return Reject(Reason.INTERNAL_ERROR, video_id, detail=traceback.format_exc())


def _raise_if_of_the_place(error: Exception, context: Context) -> None:
    """Raises StopRun, Transient or PlaceFailed if the error says nothing about the item."""
    if isinstance(error, ImportError):
        needed = cure(error) or "install the package again"
        raise PlaceFailed(f"the installation is not complete ({error}); {needed}") from error
    if is_of_a_store(error) or (not context.store.is_local and is_passing(error)):
        raise Transient(Reason.SERVER_ERROR, f"{context.store.url}: {error}", wait_s=STORE_WAIT_S) from error
    if is_of_the_system(error):
        refuse_sick_disk(error, f"{context.scratch.parent} or {context.store.url}")
    refuse_unusable_scratch(context.scratch)


def is_of_the_system(error: BaseException) -> bool:
    """Whether the operating system raised this error; libraries (PyAV) reuse errno values for errors of their own."""
    return isinstance(error, OSError) and type(error).__module__ == "builtins"


def refuse_sick_disk(error: BaseException, where: str) -> None:
    """Raises StopRun for a full disk and PlaceFailed for a failing disk; ignores other errors."""
    number = getattr(error, "errno", None)
    if number in FULL:
        raise StopRun(Reason.NO_DISK, f"{error}; free some space under {where}") from error
    if number in SICK:
        raise PlaceFailed(f"{where}: {error}; look at this machine's disk") from error


def refuse_unusable_scratch(scratch: Path) -> None:
    """Raises PlaceFailed if a unit's scratch folder is no longer writable, StopRun if its disk is full."""
    probe = scratch / f".probe-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"1")
        probe.unlink()
    except OSError as error:
        refuse_sick_disk(error, str(scratch))
        raise PlaceFailed(f"{scratch}: the scratch folder cannot be written to ({error})") from error


@contextmanager
def reading_input(name: str, context: Context) -> Iterator[None]:
    """Wraps the reading of an input file: an OS error rejects the file, to be tried again later.

    Raises PlaceFailed after three unreadable files in a row on one machine.
    """
    log = context.scratch.parent / _UNREADABLE_LOG
    try:
        yield
    except OSError as error:
        if not is_of_the_system(error):
            raise
        if error.errno in SICK and _in_a_row(log) >= UNREADABLE_IN_A_ROW:
            raise PlaceFailed(
                f"{UNREADABLE_IN_A_ROW} input files in a row cannot be read, the last one {name}: {error}"
            ) from None
        raise Rejected(Reason.UNREADABLE_INPUT, f"{name}: {error.strerror or error}") from None
    log.unlink(missing_ok=True)


def _in_a_row(log: Path) -> int:
    """Counts another unreadable input on this machine, across all its workers; returns how many came in a row."""
    try:
        if log.stat().st_mtime < time.time() - ROW_ENDS_AFTER_S:
            log.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    with log.open("ab") as file:
        file.write(b".")
    return log.stat().st_size


def plain(text: str) -> str:
    """Replaces lone surrogates, which UTF-8 cannot encode, by U+FFFD, so that tables can store the string."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
