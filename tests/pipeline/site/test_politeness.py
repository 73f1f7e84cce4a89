"""Whose turn it is, and how fast: identities, their rates and their pauses; in an actor in test_crawl."""

import asyncio
import errno

import pytest

from manifests.reasons import Reason
from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.store.store import Store
from pipeline.site.failures import Failure, Pause
from pipeline.site.judge import Ruling
from pipeline.site.pauses import STATE_FILE
from pipeline.site.politeness import SAVE_EVERY_S, Lease, Politeness
from pipeline.site.rates import pace_of
from tests.pipeline.site.toys import BOT, Clock, Punctual, politeness, run

PRIVATE = Failure(Reason.PRIVATE, "private")


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


@pytest.mark.parametrize(("pauses_s", "paused_s"), [((10.0, 40.0, 90.0), 40.0), ((10.0,), 10.0)])
def test_a_session_limit_begins_with_the_second_pause(pauses_s: tuple[float, ...], paused_s: float) -> None:
    polite = politeness(Clock(), pauses_s=pauses_s)
    assert run(polite.report("one", "v", Failure(Reason.SESSION_LIMIT, "", Pause.HARD))).paused_s == paused_s


def test_a_verdict_on_a_video_is_an_answer_and_closes_the_breaker() -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.report("one", "v", BOT))
    clock.now += 11
    run(polite.report("one", "v", PRIVATE))
    assert polite.snapshot()["identities"][0]["level"] == 0


def test_an_identity_that_is_to_be_avoided_is_taken_only_where_there_is_no_other() -> None:
    assert run(politeness(Clock(), "one", "two").lease(0.0, avoid="one")).identity == "two"
    assert run(politeness(Clock(), "one").lease(0.0, avoid="one")).identity == "one"


@pytest.mark.parametrize(("pause_s", "probe_s"), [(900.0, 60.0), (10.0, 10.0)])
def test_after_a_pause_one_video_is_let_through_and_the_others_wait_for_its_answer(
    pause_s: float, probe_s: float
) -> None:
    clock = Clock()
    polite = politeness(clock, pauses_s=(pause_s,))
    run(polite.report("one", "v", BOT))
    assert run(polite.lease(0.0)).paused_s == pause_s
    clock.now += pause_s
    assert run(polite.lease(0.0)).identity == "one"  # the probe
    clock.now += probe_s - 0.1
    assert run(polite.lease(0.0)).identity == ""
    clock.now += 0.1
    assert run(polite.lease(0.0)).identity == "one", "it was waited for long enough"
    assert run(polite.lease(0.0)).identity == ""
    run(polite.report("one", "v", None))
    assert run(polite.lease(0.0)).identity == "one"


def test_where_all_pause_the_wait_is_until_the_first_of_them_but_never_longer_than_the_longest_pause() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    run(polite.report("one", "v", BOT))
    clock.now += 4
    run(polite.report("two", "w", BOT))
    assert run(polite.lease(0.0)) == Lease("", paused_s=6.0)
    config = PolitenessConfig(pauses_s=(40.0,))
    polite = Politeness(config, {"one": 3.6e6, "two": 3.6e6}, clock=clock, wall_clock=clock)
    paused_s = [run(polite.report(name, f"again-{name}", BOT)).paused_s for name in ("one", "two")]
    assert min(paused_s) > 40.0, "lengthened at random"
    assert run(polite.lease(0.0)).paused_s == 40.0
    assert run(polite.lease(0.0, among=("two",))).paused_s == 40.0


def test_only_those_that_are_named_serve_and_where_none_of_them_is_left_anyone_does() -> None:
    polite = politeness(Clock(), "one", "two", "three")

    assert run(polite.lease(0.0, prefer="one", among=("three",))).identity == "three"
    assert run(polite.lease(0.0, prefer="one", among=("gone",))).identity == "one"


def hourly(clock: Clock, **per_hour: float) -> Politeness:
    config = PolitenessConfig(pauses_s=(10.0, 40.0))
    return Politeness(config, per_hour, dice=Punctual(), clock=clock, wall_clock=clock)


def test_videos_of_an_identity_are_spaced_over_the_hour_and_the_next_free_one_goes_first(
    slept: tuple[Clock, list[float]],
) -> None:
    clock, _ = slept
    polite = hourly(clock, one=3600.0, two=1800.0)
    began, leases = clock.now, []
    for _ in range(6):
        leases.append((run(polite.lease(0.0)).identity, clock.now - began))

    assert [name for name, _ in leases].count("one") == 4
    assert leases[-1][1] == pytest.approx(4.0, abs=0.5), "three in two seconds"
    assert run(polite.lease(0.0, among=("two",))).identity == "two"
    assert run(polite.lease(0.0, among=("nobody",))).identity in ("one", "two"), "none of them there: any"


def test_requests_are_counted_by_kind_and_stop_while_the_identity_pauses(
    slept: tuple[Clock, list[float]],
) -> None:
    clock, _ = slept
    polite = politeness(clock, "one", "two")
    for kind in ("page", "page", "player"):
        assert run(polite.take("one", "youtube.com", kind)) == 0.0
    run(polite.report("one", "v", BOT))
    clock.now += 3
    assert run(polite.take("one", "youtube.com", "page")) == 7.0
    clock.now += 6.5
    assert run(polite.take("one", "youtube.com", "page")) == 0.5, "the last moment is a pause as well"
    clock.now -= 6.5
    state = polite.snapshot()

    assert state["requests"] == {"page": 2, "player": 1}
    one = state["identities"][0]
    assert (one["requests"], one["refusals"], one["answers"]) == ({"page": 2, "player": 1}, 1, 0)
    assert (one["paused_s"], one["why"], one["level"]) == (7.0, "bot_check", 1)


def test_a_store_that_is_away_for_a_while_fails_no_video(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = Clock(), []

    def away(self: Store, *args: object) -> bytes:
        calls.append(args)
        if len(calls) > 1:
            raise OSError(errno.EBUSY, "503 Slow Down")
        raise FileNotFoundError

    monkeypatch.setattr(Store, "read", away)
    monkeypatch.setattr(Store, "write", away)
    store = Store("s3://away/run", patience_s=1800.0)
    polite = Politeness(PolitenessConfig(), {"one": 3600.0}, store=store, clock=clock, wall_clock=clock)
    clock.now += SAVE_EVERY_S + 1

    assert run(polite.lease(0.0)).identity == "one"
    assert run(polite.report("one", "v", None)) == Ruling(n_shown=1)
    assert [args[0] for args in calls[1:]] == [STATE_FILE]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> tuple[Politeness, list[float]]:
    """Two identities, one video each 24 s, and the naps of who waits, by a clock that they turn."""
    clock, naps = Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        naps.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return Politeness(PolitenessConfig(), {"one": 150.0, "two": 150.0}, dice=Punctual(), clock=clock), naps


def test_who_waits_for_the_identity_that_it_had_before_looks_a_few_times_a_second(
    pair: tuple[Politeness, list[float]],
) -> None:
    polite, naps = pair
    run(polite.lease(0.0))
    naps.clear()

    run(polite.lease(0.0, prefer="one"))

    assert len(naps) < 150, "that the other is free is no reason to look again"


def test_work_that_prefers_an_identity_takes_one_that_nobody_uses_rather_than_wait(
    pair: tuple[Politeness, list[float]],
) -> None:
    polite, naps = pair
    asked = [run(polite.lease(0.0)).identity]
    while len(asked) < 20:
        asked.append(run(polite.lease(0.0, prefer=asked[-1])).identity)

    assert min(asked.count("one"), asked.count("two")) >= 8
    assert sum(naps) < 20 * 24 * 0.75


def test_identities_that_are_in_use_are_left_to_those_that_use_them(pair: tuple[Politeness, list[float]]) -> None:
    polite, _ = pair
    asked = [run(polite.lease(0.0, prefer=name)).identity for _ in range(10) for name in ("one", "two")]

    assert asked == ["one", "two"] * 10


def test_the_rates_of_an_identity_space_its_videos_and_its_pages(slept: tuple[Clock, list[float]]) -> None:
    clock, waits = slept

    def gaps(videos_per_hour: float, **rates: dict[str, float]) -> tuple[float, float, float]:
        """Seconds between two videos of one identity, two pages of one, and a page of one and of the other."""
        config = PolitenessConfig(**rates)  # type: ignore[arg-type]
        polite = Politeness(config, {"one": videos_per_hour, "two": 1800.0}, dice=Punctual(), clock=clock)
        clock.now += 60.0  # every bucket is full
        run(polite.lease(0.0, among=("one",)))
        before = clock.now
        run(polite.lease(0.0, among=("one",)))
        between_videos_s = clock.now - before
        clock.now += 60.0
        for name in ("one", "one", "two"):
            run(polite.take(name, "site", "page"))
        return between_videos_s, *waits[-2:]

    assert gaps(3600.0) == (1.0, 2.0, 0.0)
    assert gaps(360.0, identity_requests_per_minute={"page": 6.0}) == (10.0, 10.0, 0.0)


def test_a_rate_that_is_given_changes_no_other() -> None:
    given = PolitenessConfig(identity_requests_per_minute={"page": 10.0}).identity_requests_per_minute
    assert given == {**PolitenessConfig().identity_requests_per_minute, "page": 10.0}


def test_each_identity_adds_its_hour() -> None:
    one, fifty = (pace_of(PolitenessConfig(), {f"i{k}": 150.0 for k in range(n)}) for n in (1, 50))
    assert (one.videos_per_hour, one.binds) == (150.0, "videos_per_hour of 1 identity")
    assert (fifty.videos_per_hour, fifty.binds) == (7500.0, "videos_per_hour of 50 identities")


def test_a_rate_of_requests_that_is_lower_binds_and_is_named() -> None:
    pace = pace_of(PolitenessConfig(identity_requests_per_minute={"player": 2.0}), {"one": 150.0, "two": 150.0})
    assert (pace.videos_per_hour, pace.binds) == (120.0, "identity_requests_per_minute.player of 2 identities")


@pytest.mark.parametrize(("kind", "an_hour"), [("page", 60.0), ("player", 30.0), ("caption", 60.0)])
def test_what_a_video_asks_of_each_kind(kind: str, an_hour: float) -> None:
    config = PolitenessConfig(identity_requests_per_minute={kind: 1.0})
    assert pace_of(config, {"one": 150.0}).videos_per_hour == an_hour
