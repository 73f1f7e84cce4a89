"""The canary: an identity that no longer gets everything is paused, and the others go on."""

import pytest

from miniyoutube.big_catalogue import one_of_each
from miniyoutube.misbehave import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import Extractor, FoundVideo
from pipeline.engine.work.executor import SharedHere
from pipeline.site import politeness
from pipeline.site.canary import lacking_of
from pipeline.site.politeness import Politeness
from tests.pipeline.crawl.site import config_for, hurried

EDUCATION = 27


def desk(site: MiniYouTube, canary: str) -> tuple[Extractor, SharedHere]:
    settings = hurried(pauses_s=(60.0,), patience_s=0.0)
    config = config_for(site, identities=("one", "two"), canary=canary, politeness=settings)
    polite = SharedHere(Politeness(config.politeness, dict.fromkeys(("one", "two"), 3.6e6)))
    return Extractor(config, polite, CutConfig()), polite


def test_an_identity_that_misses_part_of_the_canary_is_paused_before_it_judges_a_video() -> None:
    with MiniYouTube(one_of_each(("kids", "portrait")), draw="lazily") as site:
        canary, *others = (video.video_id for video in site.catalogue.videos)
        site.misbehave(Fault("player", "joint_only", identity="one"))
        extractor, polite = desk(site, canary)
        extractor._asking.prefer = "one"
        for video_id in others:
            found = extractor.look_at(video_id, EDUCATION)
            assert isinstance(found, FoundVideo)
            assert found.identity == "two"
        paused = {one["name"]: one["paused_s"] > 0 for one in polite.snapshot()["identities"]}
        assert paused == {"one": True, "two": False}
        assert len(site.log.of("watch", video_id=canary)) == 2  # once each, not before every video


def test_the_canary_is_looked_at_again_when_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(politeness, "CANARY_EVERY_S", 0.001)
    with MiniYouTube(one_of_each(("kids", "portrait")), draw="lazily") as site:
        canary, *others = (video.video_id for video in site.catalogue.videos)
        extractor, _ = desk(site, canary)
        for video_id in others:
            extractor.look_at(video_id, EDUCATION)
        assert len(site.log.of("watch", video_id=canary)) == len(others)


def test_a_canary_that_is_gone_stops_nobody() -> None:
    with MiniYouTube(one_of_each(("private",)), draw="lazily") as site:
        good, private = (video.video_id for video in site.catalogue.videos)
        extractor, polite = desk(site, private)
        assert isinstance(extractor.look_at(good, EDUCATION), FoundVideo)
        assert not any(one["paused_s"] for one in polite.snapshot()["identities"])


def test_what_the_canary_lacks_is_named() -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        assert lacking_of({"formats": []}, config_for(site)) == ["720p", "captions", "category"]
