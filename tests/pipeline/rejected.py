"""A store in which some videos were rejected, for tests of what is said of them and asked for again."""

from pathlib import Path

from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject


def a_store_with_rejects(folder: Path) -> Store:
    """Two rejects of the extraction, two of the media."""
    made = Store(str(folder))
    for stage, rejects in {
        "extract": [Reject(Reason.PRIVATE, "a"), Reject(Reason.RATE_LIMITED, "b")],
        "media": [Reject(Reason.TRUNCATED, "c"), Reject(Reason.PRIVATE, "d")],
    }.items():
        made.write_rejects(stage, "u", [reject_row(stage, reject, 1) for reject in rejects])
        made.commit(stage, "u", {})
    return made
