"""What was rejected is done again when a person asks for its reason, or when its time has come; nothing else is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.outdir.retries import request_retries, uncommit_due, uncommit_requested

CRAWL = ("choose", "extract")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three media units: one for ever rejected, one for now, one made."""
    store = Store(str(tmp_path))
    for unit, reason in (("gone", Reason.TRUNCATED), ("busy", Reason.RATE_LIMITED), ("made", None)):
        rejects = [reject_row("media", Reject(reason, unit, retry_after_s=3600), 1)] if reason else []
        commit_rows(store, "media", unit, {}, rejects)
    return store


def test_a_request_uncommits_the_units_with_its_reason_and_no_other(store: Store) -> None:
    request_retries(store, ["truncated"])

    assert uncommit_requested(store, CRAWL) == 1
    assert store.committed("media") == {"busy", "made"}
    assert store.names("retries") == [], "a request is served once"


def test_requests_to_the_crawl_are_left_to_its_rounds(store: Store) -> None:
    store.write_json("retries/extract-private-x.json", {"stage": "extract", "reason": "private", "ids": ["v"]})

    assert uncommit_requested(store, CRAWL) == 0
    assert store.names("retries") == ["extract-private-x.json"]


def test_a_reject_of_class_later_is_due_when_its_time_has_come(store: Store) -> None:
    now = datetime.now(UTC)

    assert uncommit_due(store, ("media",), now) == 0
    assert uncommit_due(store, ("media",), now + timedelta(hours=2)) == 1
    assert store.committed("media") == {"gone", "made"}


class KilledInBetween(Store):
    """Ends once it has taken back a commit."""

    def uncommit(self, stage: str, *units: str) -> None:
        super().uncommit(stage, *units)
        raise KeyboardInterrupt


def test_a_run_killed_while_it_takes_commits_back_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    busy = reject_row("urls", Reject(Reason.SERVER_ERROR, "v", retry_after_s=0), 1)
    commit_rows(store, "urls", "u", {}, [busy])
    for stage, unit in [("transcripts", "urls-u"), ("clips", "urls-u"), ("clips", "transcripts-urls-u")]:
        store.commit(stage, unit, {})
    now = datetime.now(UTC) + timedelta(seconds=1)

    with pytest.raises(KeyboardInterrupt):
        uncommit_due(KilledInBetween(str(tmp_path)), ("urls",), now)
    assert uncommit_due(Store(str(tmp_path)), ("urls",), now) == 1

    assert not any(Store(str(tmp_path)).committed(stage) for stage in ("urls", "transcripts", "clips"))
