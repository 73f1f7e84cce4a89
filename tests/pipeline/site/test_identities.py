"""One identity: what bounds it, pauses that go on after a restart, and alarms where it fares far worse than others."""

import math
import random
from collections import Counter

import pytest

from manifests.reasons import Reason
from pipeline.site.buckets import Breaker, Bucket
from pipeline.site.failures import Failure
from pipeline.site.identities import Identity, alarm_of, share_of_rejects
from tests.pipeline.site.toys import Clock, politeness, run


def an_identity() -> Identity:
    return Identity("one", Bucket(1.0, 0.0, random.Random(0)))


def test_a_pause_of_captions_holds_back_captions_alone_and_one_by_hand_everything() -> None:
    one = an_identity()
    one.captions = Breaker(50.0, 1, "captions_refused")
    assert (one.free_at(captions=False), one.free_at(captions=True)) == (0.0, 50.0)
    one.breaker = Breaker(70.0, 2, "bot_check")
    assert one.free_at(captions=True) == 70.0
    one.by_hand = True
    assert one.free_at(captions=False) == math.inf


def test_pauses_go_on_with_what_was_left_of_them() -> None:
    before = an_identity()
    before.breaker, before.captions = Breaker(1070.0, 2, "bot_check"), Breaker(1020.0, 1, "captions_refused")
    after = an_identity()
    after.go_on_pausing(before.facts(1000.0), 5.0)

    assert (after.breaker.paused_until, after.breaker.level, after.breaker.why) == (75.0, 2, "bot_check")
    assert after.captions.paused_until == 25.0
    quiet = an_identity()
    quiet.go_on_pausing(an_identity().facts(1000.0), 5.0)
    assert quiet.free_at(captions=True) == 0.0


def test_state_without_a_level_is_one_pause_and_captions_go_on_alone() -> None:
    one = an_identity()
    one.go_on_pausing({"name": "one", "paused_s": 0.5, "captions_paused_s": 0.5}, 10.0)  # type: ignore[typeddict-item]
    assert (one.breaker.level, one.breaker.paused_until, one.captions.level) == (1, 10.5, 1)
    none = an_identity()
    none.go_on_pausing({"name": "one", "paused_s": 0.0}, 10.0)  # type: ignore[typeddict-item]
    assert none.captions.level == none.breaker.level == 0


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
