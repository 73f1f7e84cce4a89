"""The quota of the Data API: units come back at midnight Pacific time, and a pause outlasts a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.store.store import Store
from pipeline.site import api_quota
from pipeline.site.api_quota import NO_UNITS, ApiQuota, describe_quota, next_reset
from pipeline.site.politeness import Politeness
from tests.pipeline.site.toys import Clock, run


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-11-30T12:00", "2026-12-01T08:00"),
        ("2026-11-30T07:59", "2026-11-30T08:00"),
        ("2026-11-30T08:00", "2026-12-01T08:00"),
        ("2026-07-01T12:00", "2026-07-02T07:00"),  # summer time
        ("2026-03-08T09:00", "2026-03-09T07:00"),  # the day on which it begins has 23 hours
    ],
)
def test_units_come_back_at_midnight_pacific_time(now: str, reset: str) -> None:
    assert next_reset(at(now)) == at(reset)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)))
def test_a_reset_is_ahead_and_at_midnight(moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC).timestamp()
    reset = datetime.fromtimestamp(next_reset(now), ZoneInfo("America/Los_Angeles"))
    assert (reset.hour, reset.minute, reset.second) == (0, 0, 0)
    assert 0 < reset.timestamp() - now <= timedelta(hours=25).total_seconds()


def test_a_machine_without_time_zones_waits_an_hour_longer_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> ZoneInfo:
        raise api_quota.ZoneInfoNotFoundError(name)

    now = at("2026-07-01T12:00")
    with_zones = next_reset(now)
    monkeypatch.setattr(api_quota, "ZoneInfo", unknown)
    assert next_reset(now) - with_zones == 3600


def test_without_units_it_is_not_asked_until_the_reset_and_pauses_for_other_refusals_grow() -> None:
    quota, now = ApiQuota(), at("2026-11-30T12:00")
    assert quota.take(now) == 0.0
    assert [quota.report(now, "no answer"), quota.report(now, "no answer")] == [60.0, 0.0]  # two were in flight
    assert quota.take(now + 59) == 1.0
    now += 61
    assert (quota.take(now), quota.report(now, "no answer")) == (0.0, 600.0)
    now += 601
    assert (quota.take(now), quota.report(now, ""), quota.report(now, "no answer")) == (0.0, 0.0, 60.0)
    now += 61
    assert quota.report(now, NO_UNITS) == at("2026-12-01T08:00") - now
    assert quota.facts(now)["units"] == 3
    assert quota.take(at("2026-12-01T08:00")) == 0.0
    assert quota.facts(at("2026-12-01T08:00"))["units"] == 1


def test_a_restart_makes_no_new_units(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    clock.now = at("2026-11-30T12:00")
    first = Politeness(PolitenessConfig(), {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    run(first.api_turn())
    run(first.api_report(NO_UNITS))
    second = Politeness(PolitenessConfig(), {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    assert run(second.api_turn()) == at("2026-12-01T08:00") - clock.now
    assert second.snapshot()["data_api"]["units"] == 1


def test_it_is_said_only_where_it_was_asked() -> None:
    now, quota = at("2026-11-30T12:00"), ApiQuota()
    assert describe_quota(quota.facts(now), now) == ""
    quota.take(now)
    assert describe_quota(quota.facts(now), now) == "Data API: 1 units used; the next reset is at 08:00 UTC"
    quota.report(now, NO_UNITS)
    said = describe_quota(quota.facts(now), now)
    assert said.endswith("not asked until 08:00 UTC (no units left): candidates are looked at without it")
    assert "0 units" in describe_quota(quota.facts(now), at("2026-12-01T09:00"))
