"""Who is not shown a video that is there is not believed about others: it is paused, and nothing is for good."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason, ReasonClass
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import Extractor
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import SharedHere
from pipeline.site.canary import Canaries
from pipeline.site.failures import Failure, Pause
from pipeline.site.identities import MOST_SAID
from pipeline.site.politeness import Politeness
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for, hurried
from tests.pipeline.site.toys import BOT, Clock, politeness, run

EDUCATION = 27
GONE, SMALL = Failure(Reason.PRIVATE, "private"), Failure(Reason.NO_720P, "480p")
ODD = Failure(Reason.UNKNOWN_ANSWER, "please verify that you are human")
MISSED = Failure(Reason.PRIVATE, "the canary is private", Pause.HARD)
LACKING = Failure(Reason.FORMATS_HIDDEN, "the canary has no 720p", Pause.HARD)


def tell(polite: Politeness, identity: str, failure: Failure, *subjects: str) -> None:
    for subject in subjects:
        run(polite.report(identity, subject, failure))


def test_the_crawls_own_canaries_are_replaced_once_another_video_is_shown() -> None:
    canaries = Canaries()
    for video_id in "abcd":
        canaries.learn(video_id)
    canaries.miss(("b",))
    assert canaries.known() == ("a", "b", "c"), "nothing else is known yet"
    canaries.learn("e")
    assert canaries.known() == ("a", "c", "e")


def test_an_identity_that_is_only_told_of_several_videos_in_a_row_looks_at_a_canary_before_it_asks_on() -> None:
    polite = politeness(Clock())
    assert run(polite.lease(0.0)).canary, "the first of a run"
    run(polite.report("one", "known", None))
    tell(polite, "one", GONE, "a", "a", "b", "c")
    assert not run(polite.lease(0.0)).canary
    tell(polite, "one", ODD, "d")
    lease = run(polite.lease(0.0))
    assert (lease.canary, lease.canaries, lease.in_doubt) == (True, ("known",), True)
    assert run(polite.lease(0.0)).identity == "", "the others wait for what it sees"
    run(polite.looked("one", None, ()))
    assert not run(polite.lease(0.0)).canary
    assert polite.standing("one").in_doubt is False


@pytest.mark.parametrize(("outcome", "begins_anew"), [(None, True), (SMALL, False), (BOT, False)])
def test_only_a_video_that_was_shown_ends_the_row(outcome: Failure | None, begins_anew: bool) -> None:
    clock = Clock()
    polite = politeness(clock)
    tell(polite, "one", GONE, "a", "b", "c")
    run(polite.report("one", "v", outcome))
    run(polite.report("one", "a list", None, "", "list"))
    tell(polite, "one", GONE, "d")
    assert polite.standing("one").in_doubt is not begins_anew


def test_who_misses_the_canary_is_paused_and_if_all_do_after_each_pause_the_run_ends() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    for paused_s in (10.0, 40.0):
        for name in ("one", "two"):
            assert run(polite.looked(name, MISSED, ("known",))).paused_s == paused_s
        clock.now += paused_s
    assert run(polite.looked("one", MISSED, ())).stop is None, "two is not known to be blocked"
    ruling = run(polite.looked("two", MISSED, ()))
    assert ruling.stop is Reason.UNKNOWN_BLOCK
    assert "identity one: the canary is private; identity two:" in ruling.detail and "crawl.canary" in ruling.detail


@pytest.mark.parametrize(("failed", "looks_again"), [(MISSED, False), (LACKING, True)])
def test_after_the_pause_a_canary_that_may_be_gone_gives_way_to_another_video(
    failed: Failure, looks_again: bool
) -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.report("one", "known", None))
    run(polite.lease(0.0))
    run(polite.looked("one", failed, ("known",)))
    clock.now += 10.0
    assert run(polite.lease(0.0)).canary is looks_again
    run(polite.report("one", "another", None))
    assert polite.standing("one").canaries == ("another",)
    assert not polite.standing("one").in_doubt


def test_what_was_in_flight_when_a_pause_began_says_nothing_new() -> None:
    clock = Clock()
    polite = politeness(clock)
    tell(polite, "one", GONE, "a", "b", "c", "d")
    assert run(polite.lease(0.0)).canary
    assert run(polite.looked("one", MISSED, ())).paused_s == 10.0
    tell(polite, "one", GONE, "in flight")
    clock.now += 10.0
    lease = run(polite.lease(0.0))
    assert (lease.identity, lease.canary) == ("one", False), "another video is asked for first"


def test_canaries_outlast_a_restart(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = Politeness(hurried(), {"one": 3.6e6}, store=store)
    run(first.report("one", "known", None))
    run(first.report("one", "v", BOT))  # a pause is saved at once
    assert Politeness(hurried(), {"one": 3.6e6}, store=store).standing("one").canaries == ("known",)


def test_an_identity_that_is_refused_in_words_about_videos_marks_none_for_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the first request on, and no canary is configured: all videos, each of another channel."""
    plain = one_of_each(("portrait",) * 8).videos
    with MiniYouTube(Catalogue(plain), draw="lazily") as site:
        site.misbehave(Fault("player", "private"))
        settings = hurried(pauses_s=(0.1, 0.2), later_s=0.01)
        road = Road.at(tmp_path, config_for(site, politeness=settings))
        with pytest.raises(RunStopped, match=r"unknown_block.*identity one: .*no canary is known.*crawl\.canary"):
            road.crawl({EDUCATION: 100.0})
        asked = {request.video_id for request in site.log.of("watch")}
        assert len(asked) <= MOST_SAID + 3, "one more after each pause"
        assert not [row for row in road.rejects.values() if Reason(row["reason"]).class_ is ReasonClass.NEVER]
        assert "identity one is not believed: every video is said to be gone" in caplog.text
        site.relent()
        road.crawl({EDUCATION: 100.0})
    assert set(road.kept) == {video.video_id for video in plain}


@contextmanager
def desk(behaviours: Sequence[str], **settings: Any) -> Iterator[tuple[MiniYouTube, Extractor, Any]]:
    """A site with a good video and these, who looks at them, and the politeness that it obeys."""
    catalogue = one_of_each(behaviours)
    with MiniYouTube(catalogue, draw="lazily") as site:
        config = config_for(site, politeness=hurried(pauses_s=(60.0,), patience_s=0.0), **settings)
        polite = SharedHere(Politeness(config.politeness, {one.name: one.videos_per_hour for one in config.pool()}))
        yield site, Extractor(config, polite, CutConfig()), polite


def test_a_site_that_hides_everything_from_some_time_on_is_not_believed_from_then_on() -> None:
    with desk(["private", *["portrait"] * 6]) as (site, extractor, polite):
        ids = [video.video_id for video in site.catalogue.videos]
        found = [extractor.look_at(video_id, EDUCATION) for video_id in ids[:3]]
        assert [type(one).__name__ for one in found] == ["FoundVideo", "Failure", "FoundVideo"]
        assert extractor.unbelieved() == set(), "it was shown another video after the private one"
        site.misbehave(Fault("player", "removed"))
        for video_id in ids[3:6]:
            assert extractor.look_at(video_id, EDUCATION).reason is Reason.UNAVAILABLE  # type: ignore[union-attr]
        assert extractor.unbelieved() == {*ids[3:6]}
        (state,) = polite.snapshot()["identities"]
        assert (state["paused_s"] > 0, state["why"]) == (True, "canary")
        assert extractor.look_at(ids[6], EDUCATION).reason is Reason.RATE_LIMITED  # type: ignore[union-attr]


def test_videos_that_are_gone_are_believed_once_the_canary_is_shown() -> None:
    gone = ("private", "removed", "terminated", "geo", "members", "not_available")
    with desk(gone) as (site, extractor, polite):
        canary, *others = (video.video_id for video in site.catalogue.videos)
        extractor.look_at(canary, EDUCATION)
        found = [extractor.look_at(video_id, EDUCATION) for video_id in others]
        assert all(isinstance(one, Failure) and one.reason.class_ is ReasonClass.NEVER for one in found)
        assert extractor.unbelieved() == set()
        assert polite.snapshot()["identities"][0]["paused_s"] == 0.0
        assert len(site.log.of("watch", video_id=canary)) == 3, "after four in a row, and at the end"
