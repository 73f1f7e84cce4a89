"""Reads and writes status.json and control.json, by which people meet a run (contents: manifests/run_status.py)."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from manifests.run_status import CONTROL_NAME, STATUS_NAME, Control, RunStatus
from pipeline.engine.store.store import Store

Model = TypeVar("Model", bound=BaseModel)


def read_control(store: Store) -> Control:
    """What a person asked of the run; the defaults if the file is missing or damaged."""
    return _read(store, CONTROL_NAME, Control.model_validate_json) or Control()


def read_run_status(store: Store) -> RunStatus | None:
    """The run's own status; None if no status is readable."""
    return _read(store, STATUS_NAME, RunStatus.model_validate_json)


def write_control(store: Store, control: Control) -> None:
    """Sends a request to the run that works on this store."""
    store.write_sealed(CONTROL_NAME, control.model_dump_json().encode())


def _read(store: Store, name: str, parse: Callable[[bytes], Model]) -> Model | None:
    try:
        return parse(store.read_sealed(name))
    except (FileNotFoundError, ValueError):  # damaged
        return None
