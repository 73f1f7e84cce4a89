"""Rates that change while a run goes on."""

from pathlib import Path

from manifests.live import Control
from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.run.live_files import write_control
from pipeline.engine.store.store import Store
from pipeline.site.politeness import Politeness
from pipeline.site.rates import Rates, rates_of
from tests.pipeline.site.toys import Clock, run


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


def test_a_kind_of_request_that_no_rate_names_goes_by_that_of_others_else_once_a_second() -> None:
    def rates(**own: float) -> Rates:
        return rates_of(PolitenessConfig(identity_requests_per_minute=own), {"one": 150.0}, Control())

    assert rates(page=6.0, other=12.0).per_minute("one", "media") == 12.0
    assert rates(page=6.0).per_minute("one", "media") == 60.0
    assert rates(page=6.0, other=12.0).per_minute("one", "page") == 6.0
