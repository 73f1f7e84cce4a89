"""Rates that change while a run goes on, and the pace that they allow."""

from pathlib import Path

import pytest

from manifests.run_status import Control
from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.run.status_files import write_control
from pipeline.engine.store.store import Store
from pipeline.site.politeness import Politeness
from pipeline.site.rates import Rates, pace_of, rates_of
from tests.pipeline.site.toys import Clock, Punctual, run


def test_new_rates_hold_for_a_live_run_and_go_back_to_the_configured_ones(
    tmp_path: Path, slept: tuple[Clock, list[float]]
) -> None:
    store, (clock, waits) = Store(str(tmp_path)), slept
    polite = Politeness(
        PolitenessConfig(), {"one": 3600.0, "two": 1800.0}, dice=Punctual(), store=store, clock=clock, wall_clock=clock
    )

    def gaps() -> tuple[float, float, float]:
        """Seconds between two videos of one identity, two pages of one, and a page of one and of the other."""
        clock.now += 60.0  # past READ_CONTROL_EVERY_S, and every bucket is full
        run(polite.lease(0.0, among=("one",)))
        before = clock.now
        run(polite.lease(0.0, among=("one",)))
        between_videos_s = clock.now - before
        clock.now += 60.0
        for name in ("one", "one", "two"):
            run(polite.take(name, "site", "page"))
        return between_videos_s, *waits[-2:]

    assert gaps() == (1.0, 2.0, 0.0)
    rates = {"videos_per_hour": {"one": 360.0, "gone": 1.0}, "identity_requests_per_minute": {"page": 6.0}}
    write_control(store, Control(**rates, most_requests_per_minute={"page": 3.0}))
    assert gaps() == (10.0, 20.0, 20.0)
    assert polite.snapshot()["binds"].startswith("most_requests_per_minute.page")
    write_control(store, Control())
    assert gaps() == (1.0, 2.0, 0.0)


def test_a_kind_of_request_that_no_rate_names_goes_by_that_of_others_else_once_a_second() -> None:
    def rates(**own: float) -> Rates:
        return rates_of(PolitenessConfig(identity_requests_per_minute=own), {"one": 150.0}, Control())

    assert rates(page=6.0, other=12.0).per_minute("one", "media") == 12.0
    assert rates(page=6.0).per_minute("one", "media") == 60.0
    assert rates(page=6.0, other=12.0).per_minute("one", "page") == 6.0


def test_each_identity_adds_its_hour() -> None:
    one, fifty = (pace_of(PolitenessConfig(), {f"i{k}": 150.0 for k in range(n)}) for n in (1, 50))
    assert (one.videos_per_hour, one.binds) == (150.0, "videos_per_hour of 1 identity")
    assert (fifty.videos_per_hour, fifty.binds) == (7500.0, "videos_per_hour of 50 identities")


def test_a_rate_of_requests_that_is_lower_binds_and_is_named() -> None:
    pace = pace_of(PolitenessConfig(identity_requests_per_minute={"player": 2.0}), {"one": 150.0, "two": 150.0})
    assert (pace.videos_per_hour, pace.binds) == (120.0, "identity_requests_per_minute.player of 2 identities")


def test_a_ceiling_that_more_identities_cannot_pass_is_named() -> None:
    config = PolitenessConfig(most_requests_per_minute={"page": 10.0, "media": 1.0})
    assert pace_of(config, {"one": 150.0}).binds == "videos_per_hour of 1 identity"
    pace = pace_of(config, {f"i{k}": 150.0 for k in range(50)})
    assert pace.videos_per_hour == 600.0
    assert pace.binds.startswith("most_requests_per_minute.page, the ceiling over all identities")


def test_the_lowest_ceiling_is_named_and_one_that_is_just_reached_binds_nobody() -> None:
    config = PolitenessConfig(most_requests_per_minute={"page": 5.0, "player": 8.0, "caption": 6.0})
    pace = pace_of(config, {f"i{k}": 150.0 for k in range(50)})
    assert pace.videos_per_hour == 240.0, "two players a video"
    assert pace.binds.startswith("most_requests_per_minute.player,")
    assert pace_of(config, {"a": 120.0, "b": 120.0}).binds == "videos_per_hour of 2 identities"


@pytest.mark.parametrize(("kind", "an_hour"), [("page", 60.0), ("player", 30.0), ("caption", 60.0)])
def test_what_a_video_asks_of_each_kind(kind: str, an_hour: float) -> None:
    config = PolitenessConfig(identity_requests_per_minute={kind: 1.0})
    assert pace_of(config, {"one": 150.0}).videos_per_hour == an_hour
