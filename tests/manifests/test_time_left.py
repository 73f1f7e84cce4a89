"""How the time left is foreseen and told: from what was expected, then from the pace, and with a range that narrows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.time_left import length_of, seconds_left, told, with_range


def test_the_expected_time_holds_until_something_is_done_and_then_the_pace() -> None:
    assert seconds_left(0.0, 1.0, 10.0) is None
    assert seconds_left(0.0, 0.0, 10.0) == 0, "a run that goes on may have found all that it needs before"
    assert seconds_left(0.0, 1.0, 10.0, 600.0) == 590
    assert seconds_left(0.0, 1.0, 10_000.0, 600.0) == 10_000, "a late job is not said to be over"
    assert seconds_left(0.5, 0.5, 100.0) == pytest.approx(100)
    assert seconds_left(0.5, 0.5, 100.0, 10_000.0) == pytest.approx(377, abs=1)


@given(st.floats(1, 1e7), st.integers(0, 10**6))
def test_the_range_holds_the_likely_time_and_narrows(likely_s: float, n_done: int) -> None:
    now, later = with_range(likely_s, n_done), with_range(likely_s, n_done + 10)
    assert now.low_s <= later.low_s <= later.likely_s <= later.high_s <= now.high_s


def test_a_job_that_takes_long_tells_how_far_it_is_and_a_short_one_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(told("abcd", 10, "videos", each=3)) == list("abcd")
    assert capsys.readouterr().err == ""

    assert list(told("abcd", 10, "videos", each=3, every_s=0)) == list("abcd")

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", ")[0] for line in lines] == ["3 of 10 videos", "6 of 10 videos", "9 of 10 videos"]
    assert all(line.endswith("left") or "left (" in line for line in lines)


def test_a_time_left_is_told_with_its_range() -> None:
    assert with_range(600, 0).words() == "about 10 min left (3 min to 30 min)"
    assert with_range(600, 10**6).words() == "about 10 min left (9 min to 11 min)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (12600, "3.5 h"),
        (4e5, "4.6 days"),
    ],
)
def test_a_length_of_time_is_told_as_people_do(seconds: float, said: str) -> None:
    assert length_of(seconds) == said
