"""Sentinels: what the crawl itself knows guards its verdicts, and words that nobody knows end no video."""

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.reasons import Reason
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.outdir.retries import read_retries
from pipeline.site import politeness as politeness_module
from pipeline.site.asking import Asking, NobodyMayAsk, Rules
from pipeline.site.failures import Failure, Pause
from pipeline.site.judge import UNKNOWN_REFUSALS
from pipeline.site.politeness import Politeness
from pipeline.site.sentinels import Sentinels, fails, is_as_known
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for, hurried
from tests.pipeline.site.toys import Clock, politeness, run

EDUCATION = 27
ODD = Failure(Reason.UNKNOWN_ANSWER, "please verify that you are human")
GONE, SMALL = Failure(Reason.PRIVATE, "private"), Failure(Reason.NO_720P, "480p")
LACKING = Failure(Reason.FORMATS_HIDDEN, "no 720p", Pause.HARD)


def test_the_crawl_finds_its_sentinels_and_replaces_those_that_change() -> None:
    sentinels = Sentinels()
    for n in range(6):
        sentinels.learn(f"good-{n}", None)
    sentinels.learn("small", SMALL)
    sentinels.learn("gone", GONE)
    sentinels.learn("odd", ODD)
    sentinels.forget(("good-0",))
    sentinels.learn("good-7", None)
    assert sentinels.known() == {
        "good": ("good-1", "good-2", "good-3", "good-7"),
        "small": ("small",),
        "gone": ("gone",),
    }
    again = Sentinels()
    again.go_on({kind: [*ids] for kind, ids in sentinels.known().items()})
    assert again.known() == sentinels.known()


def test_what_is_gone_may_be_refused_in_any_verdict_and_what_is_good_in_none() -> None:
    assert is_as_known("gone", GONE) and is_as_known("good", None)
    assert not is_as_known("gone", ODD) and not is_as_known("good", GONE) and not is_as_known("small", LACKING)


@pytest.mark.parametrize(
    ("missed", "known", "failed"),
    [
        ((), ("good", "gone"), False),
        (("good",), ("good", "small", "gone"), True),
        (("gone",), ("good", "small", "gone"), False),
        (("small", "gone"), ("good", "small", "gone"), True),
        (("gone",), ("gone",), True),
    ],
)
def test_a_kind_alone_is_no_block_unless_it_is_the_good_one(
    missed: tuple[str, ...], known: tuple[str, ...], failed: bool
) -> None:
    assert fails(set(missed), set(known)) is failed


def refuse(polite: Politeness, identity: str, *subjects: str) -> None:
    for subject in subjects:
        run(polite.report(identity, subject, ODD, "words"))


def test_the_same_unknown_words_for_several_videos_in_a_row_ask_for_a_look_at_once() -> None:
    polite = politeness(Clock())
    assert run(polite.lease(0.0)).canary, "the first of a run"
    run(polite.report("one", "known", None))
    refuse(polite, "one", "a", "b", "b")
    assert not run(polite.lease(0.0)).canary
    refuse(polite, "one", "c")
    lease = run(polite.lease(0.0))
    assert (lease.canary, lease.odd, lease.sentinels) == (True, "words", {"good": ("known",)})
    run(polite.looked("one", None, ()))
    refuse(polite, "one", "d", "e", "f", "g")
    assert not run(polite.lease(0.0)).canary, "the words are about the videos"
    assert polite.snapshot()["identities"][0]["paused_s"] == 0


def test_an_answer_or_other_words_begin_the_row_anew_and_a_list_does_not() -> None:
    polite = politeness(Clock())
    run(polite.lease(0.0))
    refuse(polite, "one", "a", "b")
    run(polite.report("one", "v", GONE))
    refuse(polite, "one", "c", "d")
    run(polite.report("one", "e", ODD, "other words"))
    refuse(polite, "one", "f", "g")
    assert not run(polite.lease(0.0)).canary
    run(polite.report("one", "a search", None, "", "list"))
    refuse(polite, "one", "h")
    assert run(polite.lease(0.0)).canary
    assert "a search" not in str(polite.snapshot()["sentinels"])


def test_who_fails_is_paused_and_if_all_fail_in_unknown_words_the_run_ends() -> None:
    polite = politeness(Clock(), "one", "two")
    block = replace(ODD, pause=Pause.HARD)
    assert run(polite.looked("one", block, ())).paused_s == 10.0
    ruling = run(polite.looked("two", block, ()))
    assert ruling.stop is Reason.UNKNOWN_BLOCK
    assert "identity one: please verify that you are human; identity two:" in ruling.detail
    assert run(politeness(Clock()).looked("one", LACKING, ())).stop is None, "formats may come back"


def test_without_a_sentinel_unknown_words_pause_and_are_believed_after_the_last_pause() -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.lease(0.0))
    refuse(polite, "one", "a", "b", "c")
    for paused_s in (10.0, 40.0):
        assert run(polite.lease(0.0)).odd == "words"
        assert run(polite.looked("one", ODD, ())).paused_s == paused_s
        clock.now += paused_s
        assert not run(polite.lease(0.0)).canary, "another video first"
        refuse(polite, "one", f"after {paused_s}")
    assert run(polite.looked("one", ODD, ())).stop is Reason.UNKNOWN_BLOCK


def test_verdicts_since_the_last_look_that_passed_are_requested_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))

    def a_politeness() -> Politeness:
        return Politeness(hurried(), {"one": 3.6e6, "two": 3.6e6}, store=store)

    polite = a_politeness()
    run(polite.report("one", "before", GONE))
    run(polite.looked("one", None, ()))
    for video_id, verdict in (("a", GONE), ("b", SMALL), ("seen", GONE), ("c", GONE)):
        run(polite.report("one", video_id, verdict))
    run(polite.report("one", "of media", SMALL, "", "media"))
    run(polite.report("two", "theirs", GONE))
    run(polite.report("two", "seen", None))
    run(polite.looked("two", None, ()))  # saves the state
    polite = a_politeness()  # a new run
    run(polite.looked("one", LACKING, ()))
    assert sorted(ids for _, ids in read_retries(store, ["extract"])) == [("a", "c"), ("b",)]
    assert [ids for _, ids in read_retries(store, ["media"])] == [("of media",)]
    run(polite.looked("one", LACKING, ()))
    assert len([*read_retries(store, ["extract"])]) == 2, "once"


def test_a_block_in_unknown_words_stops_the_run_after_a_few_videos(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("portrait",) * 15), draw="lazily") as site:
        site.misbehave(Fault("player", "unheard_of"))
        with pytest.raises(RunStopped, match=r"unknown_block.*identity one: .*curtain"):
            Road.at(tmp_path, config_for(site)).crawl({EDUCATION: 100.0})
        asked = {request.video_id for request in site.log.of("watch")}
    assert len(asked) <= UNKNOWN_REFUSALS + 3  # one after each pause: no video is known yet


def test_an_identity_that_is_refused_in_unknown_words_is_paused_and_the_other_does_its_work(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("portrait",) * 12), draw="lazily") as site:
        site.misbehave(Fault("player", "unheard_of", identity="two", after=6))
        config = config_for(site, identities=("one", "two"), politeness=hurried(pauses_s=(60.0,)))
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
        paused = {one["name"]: one["paused_s"] > 0 for one in road.polite.snapshot()["identities"]}
    assert len(road.kept) + len(road.rejects) == 13
    assert {row["reason"] for row in road.rejects.values()} <= {Reason.UNKNOWN_ANSWER}
    assert len(road.rejects) <= UNKNOWN_REFUSALS
    assert paused["one"] is False


def test_false_verdicts_of_a_site_that_hides_everything_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known videos are kept; then the site calls all others removed; then the hour of the next look comes."""
    plain = one_of_each(("portrait",) * 7).videos
    with MiniYouTube(Catalogue(plain), draw="lazily") as site:
        config = config_for(site, reserve=0.0, politeness=hurried(pauses_s=(0.2,)))
        road = Road.at(tmp_path, config).crawl({EDUCATION: 3.0})
        site.misbehave(Fault("player", "removed"))
        road.crawl({EDUCATION: 6.0})
        hidden = {video_id for video_id, row in road.rejects.items() if row["reason"] == Reason.UNAVAILABLE}
        assert hidden
        monkeypatch.setattr(politeness_module, "CANARY_EVERY_S", 0.0)
        with pytest.raises(NobodyMayAsk):
            Asking(config, road.polite).ask("v", lambda _: "found", Rules(10.0, 1, 0.0))
        monkeypatch.undo()
        site.relent()
        road.crawl({EDUCATION: 100.0})
    assert set(road.kept) == {video.video_id for video in plain}
