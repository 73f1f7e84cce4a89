"""Alarms: an identity that fares far worse than the others."""

from collections import Counter

import pytest

from manifests.reasons import Reason
from pipeline.site.alarm import alarm_of, share_of_rejects
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
    assert share_of_rejects(Counter({"": 2, "private": 1})) == 0.3333


@pytest.mark.parametrize(
    ("own", "others", "is_raised"),
    [
        ((13, 30), (0, 30), True),  # 4.07 standard errors apart
        ((12, 30), (0, 30), False),  # 3.87
        ((29, 29), (0, 30), False),
        ((30, 30), (0, 29), False),
        ((14, 56), (0, 56), False),  # just 4
        ((15, 56), (0, 56), True),
        ((30, 60), (60, 240), False),  # 3.78
        ((32, 60), (60, 240), True),  # 4.26
        ((0, 60), (60, 60), False),  # far less often than the others
        ((60, 60), (60, 60), False),  # all of both: there is no error to measure by
    ],
)
def test_an_alarm_needs_thirty_answers_on_both_sides_and_four_standard_errors(
    own: tuple[int, int], others: tuple[int, int], is_raised: bool
) -> None:
    def verdicts(n_withheld: int, n: int) -> Counter[str]:
        return Counter({"no_720p": n_withheld, "": n - n_withheld})

    half = verdicts(others[0] // 2, others[1] // 2)
    rest = verdicts(others[0] - others[0] // 2, others[1] - others[1] // 2)
    alarm = alarm_of("odd", {"odd": verdicts(*own), "one": half, "two": rest})
    assert alarm.startswith("no_720p for") == is_raised and bool(alarm) == is_raised
