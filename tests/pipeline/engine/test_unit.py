"""Units have safe names that follow from their content, and what ends one travels between processes."""

import pickle

import pytest

from manifests.reasons import Reason
from pipeline.engine.unit import UNIT_NAME, Rejected, StopRun, Transient, Unit, content_name, name_over


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
