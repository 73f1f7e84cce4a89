"""The configured rates, and the pace that they allow."""

import pytest

from pipeline.config.crawl import PolitenessConfig
from pipeline.site.politeness import Politeness
from pipeline.site.rates import pace_of
from tests.pipeline.site.toys import Clock, Punctual, run


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
