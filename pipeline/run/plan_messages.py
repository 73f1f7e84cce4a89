"""What the driver and the planning process tell each other, and the pickles in which it goes.

An object that all workers share (politeness) lives with the driver. In the planning process a `SharedThere` stands for
it: its methods are called by the driver, and a stage that holds it holds the real one once the driver has read it.
"""

from __future__ import annotations

import io
import logging
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from manifests.lock import Held
from pipeline.config import RunConfig
from pipeline.engine.run.lines import StageResult
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Stage, Unit

if TYPE_CHECKING:
    from pipeline.run.session import Run

# to the planning process


@dataclass(frozen=True, slots=True)
class Job:
    """What it is started for. `patience_s`: the store's, which its pickle leaves out. `level`: of the log."""

    recipe: Callable[[Run], Any]
    config: RunConfig
    store: Store
    patience_s: float
    held: Held
    level: int


@dataclass(frozen=True, slots=True)
class Resume:
    """A line may go on."""

    line: int
    results: list[StageResult]


@dataclass(frozen=True, slots=True)
class More:
    """More units of a source (its line, its place in the chain) are wanted; `anew`: of a new list."""

    source: tuple[int, int]
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call returned or raised."""

    value: Any = None
    error: BaseException | None = None


# to the driver


@dataclass(frozen=True, slots=True)
class Said:
    """A log record."""

    record: logging.LogRecord


@dataclass(frozen=True, slots=True)
class Share:
    """An object is to be made for all workers."""

    name: str
    build: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A method of a shared object."""

    shared: str
    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejects in force, by stage and reason, for `status`."""

    counts: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Begin:
    """So many lines are to run side by side."""

    n_lines: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Units of a source. `is_last`: its list ends here; `is_whole`: and it is all of it, made at one go."""

    source: tuple[int, int]
    units: Sequence[Unit]
    is_last: bool
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """The next chain of a line, each stage with the first units of its source, unless they are listed by the driver;
    None: the line has ended.
    """

    line: int
    chain: Sequence[tuple[Stage, Piece | None]] | None


@dataclass(frozen=True, slots=True)
class Made:
    """What the recipe returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """What the recipe raised."""

    error: BaseException


class SharedThere:
    """See the module docstring."""

    def __init__(self, name: str, call: Callable[[Call], Any]) -> None:
        self._name, self._call = name, call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(Call(self._name, name, args, kwargs))


class Wire:
    """One end of the connection. Threads may send at the same time; one receives."""

    def __init__(self, connection: Connection, shared: Mapping[str, Any] | None = None) -> None:
        """`shared`: by name, the objects for which the other end has a SharedThere."""
        self._connection, self._shared = connection, {} if shared is None else shared
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Sends a message. OSError if the other end is gone."""
        data = io.BytesIO()
        _Pickler(data, pickle.HIGHEST_PROTOCOL).dump(message)
        with self._sending:
            self._connection.send_bytes(data.getbuffer())

    def receive(self) -> Any:
        """Waits for the next message. EOFError if the other end is gone."""
        try:
            data = self._connection.recv_bytes()
        except ConnectionResetError:  # gone, and had not read all that was sent to it
            raise EOFError from None
        return _Unpickler(io.BytesIO(data), self._shared).load()

    def is_ready(self, wait_s: float) -> bool:
        """Whether a message, or the end, is there within this time."""
        return self._connection.poll(wait_s)

    def close(self) -> None:
        """Lets the other end notice that this one is gone."""
        self._connection.close()


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> str | None:
        return obj._name if isinstance(obj, SharedThere) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, shared: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._shared = shared

    def persistent_load(self, name: str) -> Any:
        return self._shared[name]
