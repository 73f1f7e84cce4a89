"""Reads status.json, by which people follow a run (contents: manifests/run_status.py)."""

from manifests.run_status import STATUS_NAME, RunStatus
from pipeline.engine.store.store import Store


def read_run_status(store: Store) -> RunStatus | None:
    """The run's own status; None if no status is readable."""
    try:
        return RunStatus.model_validate_json(store.read_sealed(STATUS_NAME))
    except (FileNotFoundError, ValueError):  # damaged
        return None
