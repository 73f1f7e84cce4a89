"""Requests to try rejected videos again, and what status says; their way through the crawl is in test_crawl."""

from pathlib import Path

import pytest

from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.outdir.retries import read_retries, request_retries
from tests.pipeline.rejected import a_store_with_rejects


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return a_store_with_rejects(tmp_path)


def requests(store: Store, *stages: str) -> dict[str, tuple[str, ...]]:
    return dict(read_retries(store, stages or ("extract", "media")))


def test_a_request_names_the_videos_of_its_reason_by_stage(store: Store) -> None:
    assert sum(request_retries(store, ["private"]).values()) == 2
    assert sorted(requests(store).values()) == [("a",), ("d",)]
    assert list(requests(store, "media").values()) == [("d",)]


def test_a_retry_can_be_limited_to_a_stage(store: Store) -> None:
    request_retries(store, ["private", "truncated"], "media")
    assert sorted(requests(store).values()) == [("c",), ("d",)]


def test_asking_twice_is_asking_once(store: Store) -> None:
    assert request_retries(store, ["private"]) == request_retries(store, ["private"])
    assert len(requests(store)) == 2


def test_only_the_last_word_on_a_video_counts(store: Store) -> None:
    later = {**reject_row("extract", Reject(Reason.DRM, "a"), 1), "at": "2999-01-01T00:00:00+00:00"}
    commit_rows(store, "extract", "v", {}, [later])
    assert request_retries(store, ["private"], "extract") == {}
    assert list(request_retries(store, ["drm"]).values()) == [1]
