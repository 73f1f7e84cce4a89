"""The one loop of everything that asks: what each end of an attempt is charged to, and who asks next.

The canary: an identity that no longer gets everything is paused, and the others go on.
"""

from collections.abc import Callable
from typing import Any

import pytest

from manifests.reasons import Reason
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.config.media import CutConfig
from pipeline.crawl.extract import Extractor, FoundVideo
from pipeline.engine.work.executor import SharedHere
from pipeline.engine.work.unit import StopRun
from pipeline.site import asking as asking_module
from pipeline.site import politeness
from pipeline.site.asking import REFUSALS_OF_ONE_SUBJECT, SECOND_CLIENTS, Asking, NobodyMayAsk, Rules, Turn, lacking_of
from pipeline.site.failures import Failure, Pause, SeenRequest
from pipeline.site.politeness import Politeness
from pipeline.site.ytdlp import IdentityPaused
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for, hurried

RULES = Rules(limit_s=10.0, tries=2, patience_s=5.0)
BOT = Failure(Reason.BOT_CHECK, "bot", Pause.HARD)
RESET = Failure(Reason.CONNECTION_RESET, "reset", Pause.SOFT)


def asking(*names: str, **politeness: Any) -> Asking:
    pool = tuple(IdentityConfig(name=name, videos_per_hour=3_600_000) for name in names or ("one",))
    config = CrawlConfig(identities=pool, retry_wait_s=0.0, politeness=hurried(**politeness))
    rates = {identity.name: identity.videos_per_hour for identity in pool}
    return Asking(config, SharedHere(Politeness(config.politeness, rates)))


def ends(turns: list[Turn], *results: Any) -> Callable[[Turn], Any]:
    """An attempt that ends with each of these in turn, the last one again and again."""

    def attempt(turn: Turn) -> Any:
        turns.append(turn)
        result = results[min(len(turns), len(results)) - 1]
        if isinstance(result, Exception):
            raise result
        return result

    return attempt


def who(turns: list[Turn]) -> list[str]:
    return [turn.identity.name for turn in turns]


def test_a_refusal_is_charged_to_who_asked_and_another_one_goes_on() -> None:
    turns: list[Turn] = []
    work = asking("one", "two")
    assert work.ask("v", ends(turns, BOT, "found"), RULES) == "found"
    assert len(set(who(turns))) == 2
    assert [one["refusals"] for one in work.polite.snapshot()["identities"]].count(1) == 1


def test_an_identity_that_is_paused_meanwhile_costs_no_try_and_is_no_answer() -> None:
    turns: list[Turn] = []
    work = asking()
    assert work.ask("v", ends(turns, IdentityPaused(1.0), IdentityPaused(1.0), RESET, "found"), RULES) == "found"
    assert len(turns) == 4


def test_an_error_that_passes_is_tried_by_another_identity_and_then_charged_to_the_subject() -> None:
    turns: list[Turn] = []
    assert asking("one", "two").ask("v", ends(turns, RESET), RULES) == RESET
    assert sorted(who(turns)) == ["one", "two"]


def test_a_verdict_is_final_unless_one_more_attempt_may_heal_it() -> None:
    verdict = Failure(Reason.TRUNCATED, "short")
    turns: list[Turn] = []
    assert asking().ask("v", ends(turns, verdict), RULES) == verdict
    assert len(turns) == 1
    healing = Rules(10.0, 2, 5.0, frozenset({Reason.TRUNCATED}))
    assert asking().ask("v", ends(turns, verdict, verdict, "found"), healing) == "found"


def test_second_clients_look_once_and_that_is_a_try() -> None:
    hidden = Failure(Reason.FORMATS_HIDDEN, "sabr", look_again=True)
    turns: list[Turn] = []
    work = asking()
    assert work.ask("v", ends(turns, hidden), RULES) == hidden
    assert [turn.clients for turn in turns] == [(), SECOND_CLIENTS]


def test_a_subject_that_everybody_is_refused_at_comes_to_an_end() -> None:
    turns: list[Turn] = []
    work = asking(pauses_s=(0.01,))
    assert work.ask("v", ends(turns, BOT), RULES) == BOT
    assert len(turns) == REFUSALS_OF_ONE_SUBJECT


def test_while_all_are_paused_for_longer_than_the_work_may_wait_it_is_given_back() -> None:
    work = asking(pauses_s=(60.0,))
    with pytest.raises(NobodyMayAsk, match="all identities are paused, the first for another") as error:
        work.ask("v", ends([], BOT), Rules(10.0, 2, 0.05))
    assert error.value.paused_s > 50


def test_a_reason_to_stop_ends_the_run() -> None:
    with pytest.raises(StopRun) as error:
        asking().ask("v", ends([], Failure(Reason.NO_DISK, "full")), RULES)
    assert error.value.reason is Reason.NO_DISK


def test_a_full_disk_is_no_verdict_on_the_video_and_other_errors_of_the_place_pass_through() -> None:
    with pytest.raises(StopRun):
        asking().ask("v", ends([], OSError(28, "No space left on device")), RULES)
    with pytest.raises(OSError, match="Input/output"):
        asking().ask("v", ends([], OSError(5, "Input/output error")), RULES)


def pool(**countries: str) -> Asking:
    """Identities by name, each in a country."""
    work = asking(*countries)
    identities = tuple(
        identity.model_copy(update={"country": countries[identity.name]}) for identity in work.config.pool()
    )
    return Asking(work.config.model_copy(update={"identities": identities}), work.polite)


def blocked(*countries: str) -> Failure:
    return Failure(Reason.GEO_BLOCKED, "not here", elsewhere=True, countries=countries)


def test_where_a_video_is_not_seen_identities_of_other_countries_look_each_country_once() -> None:
    turns: list[Turn] = []
    work = pool(one="AT", two="AT", three="CH", four="")
    work.prefer = "one"
    assert work.ask("v", ends(turns, blocked()), RULES) == blocked()
    assert who(turns) == ["one", "three"], "neither the same country again nor one that nobody knows"

    turns.clear()
    work = pool(one="AT", two="CH", three="DE")
    work.prefer = "one"
    assert work.ask("v", ends(turns, blocked("DE"), "found"), RULES) == "found"
    assert who(turns) == ["one", "three"], "where the site says that it is seen"


def test_tries_wait_twice_as_long_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(asking_module.time, "sleep", waits.append)
    work = asking()
    work = Asking(work.config.model_copy(update={"retry_wait_s": 3.0}), work.polite)
    stalled = Failure(Reason.STALLED, "slow")
    assert work.ask("v", ends([], stalled), Rules(10.0, 4, 5.0)) == stalled
    assert waits == [3.0, 6.0, 12.0]


def charged(*statuses: tuple[int, str], refused: bool = False) -> tuple[Any, Any]:
    """(what the attempt gave, its identity's state) where requests were answered so on the way."""
    work = asking()

    def attempt(turn: Turn) -> str:
        turn.session.refused = refused
        for status, kind in statuses:
            turn.session.requests.append(SeenRequest(kind, "youtube.com", "/x", status))
        return "found"

    return work.ask("v", attempt, RULES), work.polite.snapshot()["identities"][0]


def test_a_refusal_that_did_not_cost_the_result_is_charged_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(asking_module, "forget_sites", forgotten.append)
    found, state = charged((200, "page"))
    assert (found, state["refusals"], state["level"], forgotten) == ("found", 0, 0, [])
    with caplog.at_level("WARNING", "hdvila"):
        found, state = charged((200, "page"), (429, "player"))
    assert (found, state["refusals"], state["level"], forgotten) == ("found", 1, 1, ["one"])
    assert "identity one paused for" in caplog.text and "(rate_limited)" in caplog.text
    found, state = charged((200, "page"), (429, "caption"), refused=True)
    assert (found, state["refusals"], state["level"]) == ("found", 1, 0), "captions alone"


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
