"""What was rejected is done again when a person asks for its reason, or when its time has come; nothing else is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.engine.attempt import reject_row
from pipeline.engine.store import Store
from pipeline.engine.unit import Reject
from pipeline.outdir.retries import request_retries, uncommit_due, uncommit_requested

CRAWL = ("choose", "extract")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three media units: one for ever rejected, one for now, one made."""
    store = Store(str(tmp_path))
    for unit, reason in (("gone", Reason.TRUNCATED), ("busy", Reason.RATE_LIMITED), ("made", None)):
        if reason:
            store.write_rejects("media", unit, [reject_row("media", Reject(reason, unit, retry_after_s=3600), 1)])
        store.commit("media", unit, {})
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
