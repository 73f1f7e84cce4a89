"""How the time left is foreseen by the pace, and told."""

import pytest

from manifests.time_left import length_of, seconds_left, told


def test_a_job_goes_by_its_pace_once_something_is_done() -> None:
    assert seconds_left(0.0, 1.0, 10.0) is None
    assert seconds_left(0.0, 0.0, 10.0) == 0, "a run that goes on may have found all that it needs before"
    assert seconds_left(0.25, 0.75, 100.0) == pytest.approx(300)


def test_a_job_that_takes_long_tells_how_far_it_is_and_a_short_one_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(told("abcd", 10, "videos", each=3)) == list("abcd")
    assert capsys.readouterr().err == ""

    assert list(told("abcd", 10, "videos", each=3, every_s=0)) == list("abcd")

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", ")[0] for line in lines] == ["3 of 10 videos", "6 of 10 videos", "9 of 10 videos"]
    assert all(line.endswith(" left") for line in lines)


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
