"""A store in which some videos were rejected, for tests of what is said of them and asked for again."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from manifests.stages import find_stage, rank_of
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.query.rejects import rejects_in_force


def a_store_with_rejects(folder: Path) -> Store:
    """Two rejects of the extraction, two of the media."""
    made = Store(str(folder))
    for stage, rejects in {
        "extract": [Reject(Reason.PRIVATE, "a"), Reject(Reason.RATE_LIMITED, "b")],
        "media": [Reject(Reason.TRUNCATED, "c"), Reject(Reason.PRIVATE, "d")],
    }.items():
        commit_rows(made, stage, "u", {}, [reject_row(stage, reject, 1) for reject in rejects])
    return made


AReject = tuple[str, str, str, str, str]
"""stage, video, clip, reason, time"""


def plainly_in_force(rejects: Sequence[AReject], passed: Collection[tuple[str, str, str]]) -> list[AReject]:
    """The rejects in force by the rule, one after the other. `passed`: (table, video, clip) of rows that did not fail.

    Of equal times the later stage's is in force, then the one whose name or reason is the later.
    """
    shown = {(table, video, "") for table, video, _ in passed}
    shown |= {row for row in passed if row[0] in ("clips", "packs")}
    latest: dict[tuple[str, str], AReject] = {}
    for reject in rejects:
        stage, video, clip, _, _ = reject
        facts = find_stage(stage)
        if facts is not None and (facts.void_by, video, clip) in shown:
            continue
        before = latest.get((video, clip))
        if before is None or _order(reject) > _order(before):
            latest[video, clip] = reject
    return list(latest.values())


def _order(reject: AReject) -> tuple[str, int, str, str]:
    stage, _, _, reason, at = reject
    return at, rank_of(stage), stage, reason


def by_stage_and_reason(rejects: Iterable[AReject]) -> dict[str, dict[str, int]]:
    """The number of rejects by stage, then by reason."""
    counts: dict[str, dict[str, int]] = {}
    for stage, _, _, reason, _ in rejects:
        of_stage = counts.setdefault(stage, {})
        of_stage[reason] = of_stage.get(reason, 0) + 1
    return counts


def rows_in_force(store: Store) -> list[AReject]:
    """What SQL finds in force."""
    names = ("stage", "video_id", "clip_id", "reason", "at")
    return [(*(row[name] for name in names),) for row in rejects_in_force(store).to_pylist()]
