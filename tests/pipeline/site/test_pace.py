"""How many videos an hour, and which setting keeps a crawl from more."""

import pytest

from pipeline.config.crawl import PolitenessConfig
from pipeline.site.pace import pace_of


def test_each_identity_adds_its_hour() -> None:
    one, fifty = (pace_of(PolitenessConfig(), {f"i{k}": 150.0 for k in range(n)}) for n in (1, 50))
    assert (one.videos_per_hour, one.binds) == (150.0, "videos_per_hour of 1 identity")
    assert (fifty.videos_per_hour, fifty.binds) == (7500.0, "videos_per_hour of 50 identities")
    assert one.days_for(36_000) == pytest.approx(10.0)


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
