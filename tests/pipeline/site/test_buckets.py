"""Token buckets: what they let through, and when."""

import random
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from pipeline.site.buckets import Breaker, Bucket
from tests.pipeline.site.toys import Clock, politeness, run


@given(
    arrivals=st.lists(st.floats(0, 3), max_size=60),
    interval_s=st.floats(0.05, 2),
    jitter=st.floats(0, 0.5),
)
def test_a_bucket_never_lets_more_through_than_its_rate(
    arrivals: list[float], interval_s: float, jitter: float
) -> None:
    bucket = Bucket(interval_s, jitter, random.Random(0), full_at=interval_s)
    now, grants = 0.0, []
    for gap in arrivals:
        now += gap
        grants.append(now + bucket.reserve(now))
    for first, start in enumerate(grants):
        for last in range(first, len(grants)):
            assert last - first + 1 <= 1 + (grants[last] - start) / interval_s + 1e-6


def test_requests_of_a_kind_are_spaced_over_all_callers() -> None:
    polite = politeness(identity_requests_per_minute={"page": 1200.0})
    taken: list[float] = []

    def worker() -> None:
        for _ in range(5):
            assert run(polite.take("one", "youtube.com", "page")) == 0.0
            taken.append(time.monotonic())

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.sort()
    span_s = taken[-1] - taken[0]
    assert len(taken) == 20
    assert span_s >= 19 * 0.05 - 0.05  # 1200 a minute is one each 50 ms, whoever asks


def test_a_restart_starts_with_empty_buckets(slept: tuple[Clock, list[float]]) -> None:
    clock, waits = slept
    run(politeness(clock, identity_requests_per_minute={"page": 60.0}).take("one", "youtube.com", "page"))
    assert waits == [1.0]


def test_each_identity_has_its_own_rates(slept: tuple[Clock, list[float]]) -> None:
    clock, waits = slept
    polite = politeness(clock, "one", "two", identity_requests_per_minute={"page": 60.0})
    for name in ("one", "two", "one", "two", "two"):
        run(polite.take(name, "youtube.com", "page"))
    assert waits == [1.0, 0.0, 1.0, 0.0, 1.0]


def test_pauses_are_used_in_turn_and_the_last_one_again_until_an_answer_comes() -> None:
    breaker = Breaker()
    now, pauses = 100.0, []
    for _ in range(4):
        pauses.append(breaker.open(now, (10.0, 30.0), 0.0, 1.0, "429"))
        now = breaker.paused_until + 1
    assert pauses == [10.0, 30.0, 30.0, 30.0] and breaker.why == "429"

    breaker.close()

    assert breaker.why == "" and breaker.open(now, (10.0, 30.0), 0.0, 1.0, "bot check") == 10.0
