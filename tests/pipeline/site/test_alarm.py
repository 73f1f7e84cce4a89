"""Alarms: an identity that fares far worse than the others."""

from collections import Counter

from manifests.reasons import Reason
from pipeline.site.alarm import share_of_rejects
from pipeline.site.failures import Failure
from tests.pipeline.site.toys import Clock, politeness, run


def test_an_identity_that_is_told_of_no_720p_far_more_often_than_the_others_raises_an_alarm() -> None:
    polite = politeness(Clock(), "one", "two", "odd")
    no_720p = Failure(Reason.NO_720P, "480p")
    for n in range(60):
        for name in ("one", "two"):
            run(polite.report(name, f"{name}{n}", no_720p if n % 10 == 0 else None))
        run(polite.report("odd", f"odd{n}", no_720p if n % 2 == 0 else None))
    alarms = {one["name"]: one["alarm"] for one in polite.snapshot()["identities"]}
    assert alarms["one"] == alarms["two"] == ""
    assert alarms["odd"].startswith("no_720p for 50% of its videos, 10% elsewhere")


def test_the_share_of_rejects_is_of_all_answers_and_0_before_the_first() -> None:
    assert share_of_rejects(Counter()) == 0.0
    assert share_of_rejects(Counter({"": 3, "private": 1})) == 0.25
    assert share_of_rejects(Counter({"private": 2})) == 1.0
