"""Buckets, identities and the breaker: in process here, in an actor in test_crawl."""

import asyncio
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.live import Control
from manifests.reasons import Reason
from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.desk import write_control
from pipeline.engine.store import Store
from pipeline.site.buckets import Bucket
from pipeline.site.failures import Failure, Pause
from pipeline.site.pauses import describe, log_pauses_of, pause_by_hand, read_state
from pipeline.site.politeness import NO_NETWORK_STOPS, Politeness

BOT = Failure(Reason.BOT_CHECK, "bot", Pause.HARD)
SOFT = Failure(Reason.SERVER_ERROR, "503", Pause.SOFT)
PRIVATE = Failure(Reason.PRIVATE, "private")


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def politeness(clock: Any = time.monotonic, *names: str, **settings: Any) -> Politeness:
    config = PolitenessConfig(
        **{"pauses_s": (10.0, 40.0), "session_pause_s": 100.0, "jitter": 0.0, "soft_refusals": 3, **settings}
    )
    return Politeness(config, dict.fromkeys(names or ("one",), 3600000.0), clock=clock, wall_clock=clock)


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)


@given(
    arrivals=st.lists(st.floats(0, 3), max_size=60),
    interval_s=st.floats(0.05, 2),
    burst=st.floats(1, 5),
    jitter=st.floats(0, 0.5),
)
def test_a_bucket_never_lets_more_through_than_its_rate(
    arrivals: list[float], interval_s: float, burst: float, jitter: float
) -> None:
    bucket = Bucket(interval_s, burst, jitter, random.Random(0), full_at=burst * interval_s)
    now, grants = 0.0, []
    for gap in arrivals:
        now += gap
        grants.append(now + bucket.reserve(now))
    for first, start in enumerate(grants):
        for last in range(first, len(grants)):
            assert last - first + 1 <= burst + (grants[last] - start) / interval_s + 1e-6


def test_a_bucket_starts_empty() -> None:
    bucket = Bucket(2.0, 5.0, 0.0, random.Random(0), full_at=10.0)
    assert bucket.reserve(0.0) == pytest.approx(2.0)  # the first token has still to be made


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


def test_kinds_and_hosts_have_buckets_of_their_own() -> None:
    polite = politeness(identity_requests_per_minute={"page": 6.0, "caption": 60_000.0})
    started = time.monotonic()
    run(polite.take("one", "youtube.com", "caption"))
    assert time.monotonic() - started < 5


def test_a_bot_check_pauses_the_identity_at_once_and_longer_each_time() -> None:
    clock = Clock()
    polite = politeness(clock)
    pauses = []
    for _ in range(3):
        pauses.append(run(polite.report("one", "v", BOT)).paused_s)
        assert run(polite.take("one", "youtube.com", "page")) > 0
        clock.now += pauses[-1] + 1
    assert pauses == [10.0, 40.0, 40.0]


def test_refusals_of_what_was_in_flight_are_one_block_not_many() -> None:
    clock = Clock()
    polite = politeness(clock)
    pauses = [run(polite.report("one", f"v{n}", BOT)).paused_s for n in range(5)]
    assert pauses == [10.0] * 5
    assert polite.snapshot()["identities"][0]["level"] == 1


def test_a_session_limit_pauses_at_least_its_own_time() -> None:
    assert run(politeness(Clock()).report("one", "v", Failure(Reason.SESSION_LIMIT, "", Pause.HARD))).paused_s == 100.0


def test_soft_refusals_count_only_for_different_videos_in_a_row() -> None:
    polite = politeness(Clock())
    for _ in range(5):
        assert run(polite.report("one", "same", SOFT)).paused_s == 0
    run(polite.report("one", "other", SOFT))
    run(polite.report("one", "well", None))  # an answer in between
    run(polite.report("one", "a", SOFT))
    assert run(polite.report("one", "b", SOFT)).paused_s == 0
    assert run(polite.report("one", "c", SOFT)).paused_s == 10.0


def test_a_verdict_on_a_video_is_an_answer_and_closes_the_breaker() -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.report("one", "v", BOT))
    clock.now += 11
    run(polite.report("one", "v", PRIVATE))
    assert polite.snapshot()["identities"][0]["level"] == 0


def test_the_others_go_on_while_one_is_paused() -> None:
    polite = politeness(Clock(), "one", "two")
    run(polite.report("one", "v", BOT))
    assert run(polite.lease(0.0, prefer="one")).identity == "two"


def test_an_identity_that_is_to_be_avoided_is_taken_only_where_there_is_no_other() -> None:
    assert run(politeness(Clock(), "one", "two").lease(0.0, avoid="one")).identity == "two"
    assert run(politeness(Clock(), "one").lease(0.0, avoid="one")).identity == "one"


def test_after_a_pause_one_video_is_let_through_and_the_others_wait_for_its_answer() -> None:
    clock = Clock()
    polite = politeness(clock, probe_s=60.0)
    run(polite.report("one", "v", BOT))
    assert run(polite.lease(0.0)).paused_s == 10.0
    clock.now += 11
    assert run(polite.lease(0.0)).identity == "one"  # the probe
    assert run(polite.lease(0.0)).identity == ""
    run(polite.report("one", "v", None))
    assert run(polite.lease(0.0)).identity == "one"


def test_a_lease_waits_no_longer_than_patience_while_all_are_paused() -> None:
    polite = politeness()
    run(polite.report("one", "v", BOT))
    started = time.monotonic()
    lease = run(polite.lease(0.3))
    assert lease.identity == ""
    assert lease.paused_s > 5
    assert time.monotonic() - started >= 0.3


def test_pauses_survive_a_restart_and_are_what_is_left_of_them(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    config = PolitenessConfig(pauses_s=(10.0, 40.0), jitter=0.0)
    first = Politeness(config, {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    run(first.report("one", "v", BOT))
    clock.now += 4
    second = Politeness(config, {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    assert run(second.take("one", "youtube.com", "page")) == pytest.approx(6.0)
    assert "one paused for another 6 s (bot_check)" in describe(second.snapshot())
    clock.now += 100
    assert read_state(store, clock.now)["identities"][0]["paused_s"] == 0


def test_a_restart_starts_with_empty_buckets() -> None:
    clock = Clock()
    polite = politeness(clock, identity_requests_per_minute={"page": 60.0}, burst=5)
    assert polite._buckets_of("one", "youtube.com", "page")[0].wait_s(clock.now) == pytest.approx(1.0)


REFUSED_CAPTIONS = Failure(Reason.CAPTIONS_REFUSED, "429", Pause.CAPTIONS)


def test_refused_captions_pause_the_captions_of_one_identity_alone() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    assert run(polite.report("one", "v", REFUSED_CAPTIONS)).paused_s == 0
    assert run(polite.report("one", "w", REFUSED_CAPTIONS)).paused_s == 10.0
    assert run(polite.lease(0.0, prefer="one", captions=True)).identity == "two"
    assert run(polite.lease(0.0, prefer="one")).identity == "one"  # lists and media go on
    assert describe(polite.snapshot()) == ""
    clock.now += 11
    assert run(polite.lease(0.0, prefer="one", captions=True)).identity == "one"


def test_one_bad_track_pauses_nobody() -> None:
    polite = politeness(Clock())
    for _ in range(5):
        assert run(polite.report("one", "bad", REFUSED_CAPTIONS)).paused_s == 0
    run(polite.report("one", "good", None))
    assert run(polite.report("one", "other", REFUSED_CAPTIONS)).paused_s == 0


def test_a_video_that_two_identities_in_good_standing_get_a_bot_check_for_is_itself_to_blame() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    for name in ("one", "two"):
        run(polite.report(name, f"well-{name}", None))
    assert run(polite.report("one", "odd", BOT)).paused_s == 10.0
    ruling = run(polite.report("two", "odd", BOT))
    assert (ruling.charged, ruling.paused_s) == (True, 0.0)
    assert describe(polite.snapshot()) == ""  # who was paused for it is let off, with a probe
    assert run(polite.report("one", "another", BOT)).paused_s == 40.0


def test_a_block_of_all_is_not_taken_for_the_fault_of_one_video() -> None:
    polite = politeness(Clock(), "one", "two")
    run(polite.report("one", "well", None))
    assert run(polite.report("one", "v", BOT)).paused_s == 10.0
    assert not run(polite.report("two", "v", BOT)).charged  # nobody knows whether it serves others


def test_several_videos_failing_in_the_same_way_stop_the_run() -> None:
    polite = politeness(Clock())
    failure = Failure(Reason.EXTRACTOR_ERROR, "KeyError: 'x'")
    for n in range(4):
        assert run(polite.report("one", f"v{n}", failure, "keyerror")).stop is None
    ruling = run(polite.report("one", "v9", failure, "keyerror"))
    assert ruling.stop is Reason.YT_DLP_TOO_OLD
    assert "upgrade" in ruling.detail


def test_the_same_failure_with_answers_in_between_does_not_stop_the_run() -> None:
    polite = politeness(Clock())
    for n in range(20):
        assert run(polite.report("one", f"v{n}", Failure(Reason.EXTRACTOR_ERROR, "odd"), "odd")).stop is None
        run(polite.report("one", f"w{n}", None))


LOST = Failure(Reason.CONNECTION_RESET, "no route to host", Pause.SOFT)


def test_a_net_that_never_answers_stops_the_run() -> None:
    polite = politeness(Clock(), soft_refusals=100)
    rulings = [run(polite.report("one", f"v{n}", LOST)) for n in range(NO_NETWORK_STOPS)]
    assert [ruling.stop for ruling in rulings[:-1]] == [None] * (NO_NETWORK_STOPS - 1)
    assert rulings[-1].stop is Reason.NO_NETWORK
    assert "identity one: no route to host" in rulings[-1].detail


def test_one_dead_proxy_is_paused_and_named_and_the_others_go_on() -> None:
    polite = politeness(Clock(), "dead", "well", soft_refusals=100)
    rulings = [run(polite.report("dead", f"v{n}", LOST)) for n in range(NO_NETWORK_STOPS)]
    assert all(ruling.stop is None for ruling in rulings)
    assert rulings[-1].paused_s > 0
    assert "dead paused for another 10 s (unreachable)" in describe(polite.snapshot())
    assert run(polite.lease(0.0, prefer="dead")).identity == "well"


def test_a_refused_proxy_password_pauses_at_once_and_ends_the_run_only_where_it_is_all() -> None:
    wrong = Failure(Reason.PROXY_REFUSED, "the proxy refused its user name or password (407)", Pause.HARD)
    polite = politeness(Clock(), "one", "two")
    assert run(polite.report("one", "v", wrong)).paused_s == 10.0
    ruling = run(polite.report("two", "v", wrong))
    assert ruling.stop is Reason.NO_NETWORK
    assert "identity one: the proxy refused its user name or password (407); identity two:" in ruling.detail


def test_each_identity_has_its_own_rates_and_a_ceiling_bounds_them_all() -> None:
    clock = Clock()
    free = politeness(clock, "one", "two", identity_requests_per_minute={"page": 60.0})
    bounded = politeness(
        clock, "one", "two", identity_requests_per_minute={"page": 60.0}, most_requests_per_minute={"page": 30.0}
    )
    for polite, n_buckets in ((free, 2), (bounded, 3)):
        buckets = {id(b) for name in ("one", "two") for b in polite._buckets_of(name, "youtube.com", "page")}
        assert len(buckets) == n_buckets
    assert [b.interval_s for b in bounded._buckets_of("two", "youtube.com", "page")] == [1.0, 2.0]


def test_the_old_rates_are_read_as_before_with_a_warning_that_names_the_new_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = PolitenessConfig.model_validate({"requests_per_minute": {"page": 12.0}})
    assert config.identity_requests_per_minute == config.most_requests_per_minute == {"page": 12.0}
    assert "identity_requests_per_minute" in caplog.text


def test_a_person_pauses_an_identity_by_name_while_the_run_goes_on(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    store.write_json("control.json", {"paused": True})
    polite = Politeness(
        PolitenessConfig(jitter=0.0), {"one": 3.6e6, "two": 3.6e6}, store=store, clock=clock, wall_clock=clock
    )
    pause_by_hand(store, "one", paused=True)
    clock.now += 6
    assert run(polite.lease(0.0, prefer="one")).identity == "two"
    assert run(polite.take("one", "youtube.com", "page")) > 0
    assert "one paused by hand" in describe(polite.snapshot())
    pause_by_hand(store, "one", paused=False)
    clock.now += 6
    assert run(polite.lease(0.0, prefer="one")).identity == "one"
    assert store.read_json("control.json")["paused"] is True


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


def test_state_that_an_earlier_version_saved_is_taken_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    old = {"name": "one", "rests_s": 50.0, "why": "bot_check", "level": 2, "videos": 3, "refusals": 1}
    store.write_json("politeness.json", {"at": 1000.0, "requests": {}, "identities": [old]})
    assert read_state(store, 1010.0)["identities"][0]["paused_s"] == 40.0


def test_pauses_are_logged_once_and_so_is_their_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    polite: Any = politeness(clock)
    with log_pauses_of(polite, every_s=0.02):
        run(polite.report("one", "v", BOT))
        time.sleep(0.3)
        clock.now += 11
        time.sleep(0.3)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "1 of 1 identities: one paused for another 10 s (bot_check); no work is lost",
        "all identities active again",
    ]


def test_new_rates_hold_for_a_live_run_and_go_back_to_the_configured_ones(tmp_path: Path) -> None:
    store, clock = Store(str(tmp_path)), Clock()
    polite = Politeness(
        PolitenessConfig(jitter=0.0), {"one": 3600.0, "two": 1800.0}, store=store, clock=clock, wall_clock=clock
    )

    def gaps() -> tuple[float, float, float]:
        clock.now += 60.0  # past READ_CONTROL_EVERY_S, and every bucket is full
        run(polite.lease(0.0, prefer="one"))
        page = polite._buckets_of("one", "site", "page")
        return polite._identities["one"].bucket.interval_s, page[0].interval_s, page[-1].interval_s

    assert gaps() == (1.0, 2.0, 2.0)
    rates = {"videos_per_hour": {"one": 360.0, "gone": 1.0}, "identity_requests_per_minute": {"page": 6.0}}
    write_control(store, Control(**rates, most_requests_per_minute={"page": 3.0}))
    assert gaps() == (10.0, 10.0, 20.0)
    assert polite.snapshot()["binds"].startswith("most_requests_per_minute.page")
    write_control(store, Control())
    assert gaps() == (1.0, 2.0, 2.0)
