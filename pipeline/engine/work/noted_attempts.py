"""attempt.json of an output directory: the unit that a run in one process works on, noted before it begins.

A native crash, such as FFmpeg's on a hostile file, ends that process. The note stays, and tells the next run at which
unit; it is gone as soon as the unit ends in any other way. When a unit is tried again its items are noted too, so that
one video's crash costs none of those beside it.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pydantic import BaseModel

from manifests.errors import storage_errors
from pipeline.engine.store.store import Store

ATTEMPT_NAME = "attempt.json"
MAX_DEATHS = 2
"""A unit, or an item of one, is not tried again once two processes died at it: each was a run that somebody started."""


class _Note(BaseModel):
    unit: str = ""
    """What is under way, as STAGE/UNIT; "" if nothing is."""
    item: str = ""
    """The item of the unit that is under way, where items are noted."""
    deaths: dict[str, int] = {}
    """By unit: processes that died at it, while it is not known at which item."""
    items: dict[str, list[str]] = {}
    """By unit: items that another process died at after the first."""


class NotedAttempts:
    """The attempts of this process at units of one output directory, whose lock it holds."""

    def __init__(self, store: Store) -> None:
        self._store, self._is_forgiven = store, False
        note = self._read()
        self._deaths, self._items = Counter(note.deaths), note.items
        if note.item:
            self._items.setdefault(note.unit, []).append(note.item)
        elif note.unit:
            self._deaths[note.unit] += 1

    @contextmanager
    def during(self, unit: str) -> Iterator[int]:
        """Notes an attempt while the block runs; gives how many processes have died at it, without an item to blame."""
        self._write(unit)
        try:
            yield self._deaths[unit]
        finally:
            del self._deaths[unit]
            self._items.pop(unit, None)
            self._write()

    def item_began(self, unit: str) -> Callable[[str], bool] | None:
        """What notes that an item of the unit begins, "" for none, and returns whether it is to blame for a death.

        None where no process died at the unit before.
        """

        def began(item: str) -> bool:
            self._write(unit, item)
            return item in self._items.get(unit, ())

        return began if self._deaths[unit] else None

    def forgive(self) -> None:
        """Notes no attempt any more: whoever asked this process to end may soon kill it. For signal handlers."""
        self._is_forgiven = True
        threading.Thread(target=self._forget, daemon=True).start()  # a store that is away would hold the handler up

    def _forget(self) -> None:
        with suppress(*storage_errors()):
            self._write()

    def _write(self, unit: str = "", item: str = "") -> None:
        if self._is_forgiven:
            unit = item = ""
        deaths = {name: n for name, n in self._deaths.items() if n}
        note = _Note(unit=unit, item=item, deaths=deaths, items=self._items)
        if note == _Note():
            self._store.delete(ATTEMPT_NAME)
        else:
            self._store.write_sealed(ATTEMPT_NAME, note.model_dump_json().encode())

    def _read(self) -> _Note:
        try:
            return _Note.model_validate_json(self._store.read_sealed(ATTEMPT_NAME))
        except (FileNotFoundError, ValueError):  # damaged
            return _Note()
