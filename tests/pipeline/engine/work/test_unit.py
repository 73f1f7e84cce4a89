"""Units have safe names that follow from their content, and what ends one travels between processes."""

import pickle
import time
from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import (
    UNIT_NAME,
    Context,
    Rejected,
    StopRun,
    Transient,
    Unit,
    content_name,
    name_over,
)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "ü", "x" * 97])
def test_a_name_that_no_file_should_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unit name"):
        Unit(name)


def test_a_name_follows_from_the_content_in_its_order() -> None:
    assert content_name(["a", "b"]) == content_name(iter(["a", "b"])) != content_name(["b", "a"])
    assert UNIT_NAME.fullmatch(content_name([]))
    assert name_over("list", "u1") == "list-u1"
    long = name_over("list", "x" * 96)
    assert UNIT_NAME.fullmatch(long) and long != name_over("list", "y" * 96)


def test_units_keep_their_names_from_version_to_version() -> None:
    """A run that goes on in a newer version would do a unit of another name a second time."""
    assert content_name(["a", "b"]) == "7e18f737311b2dc3"
    assert name_over("media", "y" * 96) == "media-868771c80947d0452785f9d55dc159cb"


def test_time_that_has_run_out_is_none_left(tmp_path: Path) -> None:
    store, now = Store(str(tmp_path)), time.monotonic()

    assert Context(store, tmp_path, now - 5).remaining_s() == 0.0
    assert Context(store, tmp_path, now).attempt == 1
    assert 59 < Context(store, tmp_path, now + 60).remaining_s() <= 60


def test_what_ends_a_unit_says_the_same_in_another_process() -> None:
    rejected = pickle.loads(pickle.dumps(Rejected(Reason.SILENT, "d", clip_id="a.1", retry_after_s=5)))
    assert (rejected.reason, rejected.detail, rejected.clip_id, rejected.retry_after_s) == (
        Reason.SILENT,
        "d",
        "a.1",
        5,
    )
    transient = pickle.loads(pickle.dumps(Transient(Reason.RATE_LIMITED, "429", wait_s=7)))
    assert (transient.reason, transient.wait_s) == (Reason.RATE_LIMITED, 7)
    stop = pickle.loads(pickle.dumps(StopRun(Reason.BAD_COOKIES, "export them")))
    assert (stop.reason, stop.detail) == (Reason.BAD_COOKIES, "export them")
