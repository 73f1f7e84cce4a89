"""What an answer or a refusal costs: the identity, its captions alone, the subject, or the run."""

from dataclasses import replace

from manifests.reasons import Reason
from pipeline.site.failures import Failure, Pause
from pipeline.site.judge import DEAD_PROXY_STOPS, NO_NETWORK_STOPS
from pipeline.site.pauses import describe_pauses
from tests.pipeline.site.toys import BOT, REFUSED_CAPTIONS, Clock, politeness, run

SOFT = Failure(Reason.SERVER_ERROR, "503", Pause.SOFT)


def test_soft_refusals_count_only_for_different_videos_in_a_row() -> None:
    polite = politeness(Clock())
    for _ in range(5):
        assert run(polite.report("one", "same", SOFT)).paused_s == 0
    run(polite.report("one", "other", SOFT))
    run(polite.report("one", "well", None))  # an answer in between
    for name in "abcd":
        assert run(polite.report("one", name, SOFT)).paused_s == 0
    assert run(polite.report("one", "e", SOFT)).paused_s == 10.0


def test_refused_captions_pause_the_captions_of_one_identity_alone() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    assert run(polite.report("one", "v", REFUSED_CAPTIONS)).paused_s == 0
    assert run(polite.report("one", "w", REFUSED_CAPTIONS)).paused_s == 10.0
    assert run(polite.lease(0.0, prefer="one", captions=True)).identity == "two"
    assert run(polite.lease(0.0, prefer="one")).identity == "one"  # lists and media go on
    assert describe_pauses(polite.snapshot()) == ""
    clock.now += 11
    assert run(polite.lease(0.0, prefer="one", captions=True)).identity == "one"


def test_one_bad_track_pauses_nobody() -> None:
    polite = politeness(Clock())
    for _ in range(5):
        assert run(polite.report("one", "bad", REFUSED_CAPTIONS)).paused_s == 0
    run(polite.report("one", "good", None))
    assert run(polite.report("one", "other", REFUSED_CAPTIONS)).paused_s == 0


def test_a_video_that_two_identities_in_good_standing_get_a_bot_check_for_is_itself_to_blame() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    for name in ("one", "two"):
        run(polite.report(name, f"well-{name}", None))
    assert run(polite.report("one", "odd", BOT)).paused_s == 10.0
    ruling = run(polite.report("two", "odd", BOT))
    assert (ruling.charged, ruling.paused_s) == (True, 0.0)
    assert describe_pauses(polite.snapshot()) == ""  # who was paused for it is let off, with a probe
    assert run(polite.report("one", "another", BOT)).paused_s == 40.0


def test_a_block_of_all_is_not_taken_for_the_fault_of_one_video() -> None:
    polite = politeness(Clock(), "one", "two")
    run(polite.report("one", "well", None))
    assert run(polite.report("one", "v", BOT)).paused_s == 10.0
    assert not run(polite.report("two", "v", BOT)).charged  # nobody knows whether it serves others


def test_several_videos_failing_in_the_same_way_stop_the_run() -> None:
    polite = politeness(Clock())
    failure = Failure(Reason.EXTRACTOR_ERROR, "KeyError: 'x'")
    for n in range(4):
        assert run(polite.report("one", f"v{n}", failure, "keyerror")).stop is None
    ruling = run(polite.report("one", "v9", failure, "keyerror"))
    assert ruling.stop is Reason.YT_DLP_TOO_OLD
    assert "upgrade" in ruling.detail


def test_the_same_failure_with_answers_in_between_does_not_stop_the_run() -> None:
    polite = politeness(Clock())
    for n in range(20):
        assert run(polite.report("one", f"v{n}", Failure(Reason.EXTRACTOR_ERROR, "odd"), "odd")).stop is None
        run(polite.report("one", f"w{n}", None))


LOST = Failure(Reason.CONNECTION_RESET, "no route to host", Pause.SOFT)


def test_a_net_that_never_answers_stops_the_run() -> None:
    polite = politeness(Clock())
    rulings = [run(polite.report("one", f"v{n}", LOST)) for n in range(NO_NETWORK_STOPS)]
    assert [ruling.stop for ruling in rulings[:-1]] == [None] * (NO_NETWORK_STOPS - 1)
    assert rulings[-1].stop is Reason.NO_NETWORK
    assert "identity one: no route to host" in rulings[-1].detail


def test_a_connection_lost_after_an_answer_of_the_same_attempt_is_no_dead_net() -> None:
    polite = politeness(Clock())
    rulings = [run(polite.report("one", "v", replace(LOST, reached=True))) for _ in range(NO_NETWORK_STOPS)]
    assert [ruling.stop for ruling in rulings] == [None] * NO_NETWORK_STOPS


def test_one_dead_proxy_is_paused_and_named_and_the_others_go_on() -> None:
    polite = politeness(Clock(), "dead", "well")
    rulings = [run(polite.report("dead", f"v{n}", LOST)) for n in range(NO_NETWORK_STOPS)]
    assert all(ruling.stop is None for ruling in rulings)
    assert rulings[-1].paused_s > 0
    assert "dead paused for another 10 s (unreachable)" in describe_pauses(polite.snapshot())
    assert run(polite.lease(0.0, prefer="dead")).identity == "well"


def test_a_proxy_that_was_well_and_is_gone_ends_the_run_unless_another_answer_comes_between() -> None:
    gone = Failure(Reason.PROXY_REFUSED, "the proxy cannot be reached", Pause.SOFT)
    polite = politeness(Clock())
    for n in range(DEAD_PROXY_STOPS - 1):
        run(polite.report("one", "good", None))
        assert run(polite.report("one", f"v{n}", gone)).stop is None
    rulings = [run(polite.report("one", "v", gone)) for _ in range(DEAD_PROXY_STOPS - 1)]
    assert [ruling.stop for ruling in rulings] == [*[None] * (DEAD_PROXY_STOPS - 2), Reason.NO_NETWORK]
    assert "identity one: the proxy cannot be reached" in rulings[-1].detail


def test_a_refused_proxy_password_pauses_at_once_and_ends_the_run_only_where_it_is_all() -> None:
    wrong = Failure(Reason.PROXY_REFUSED, "the proxy refused its user name or password (407)", Pause.HARD)
    polite = politeness(Clock(), "one", "two")
    assert run(polite.report("one", "v", wrong)).paused_s == 10.0
    ruling = run(polite.report("two", "v", wrong))
    assert ruling.stop is Reason.NO_NETWORK
    assert "identity one: the proxy refused its user name or password (407); identity two:" in ruling.detail


def test_bad_cookies_pause_their_identity_and_end_the_run_only_where_it_is_all() -> None:
    rotated = Failure(Reason.BAD_COOKIES, "export them again", Pause.HARD)
    polite = politeness(Clock(), "account", "guest")
    assert run(polite.report("account", "v", rotated)).paused_s == 10.0
    assert "account paused for another 10 s (bad_cookies)" in describe_pauses(polite.snapshot())
    assert run(polite.lease(0.0, prefer="account")).identity == "guest"
    ruling = run(polite.report("guest", "v", rotated))
    assert ruling.stop is Reason.BAD_COOKIES and "identity account: export them again; identity guest" in ruling.detail


def test_refused_captions_are_an_answer_of_the_page_so_the_next_pause_is_the_first_again() -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.report("one", "v", BOT))
    clock.now += 11
    assert run(polite.lease(0.0)).identity == "one"
    run(polite.report("one", "w", REFUSED_CAPTIONS))
    assert run(polite.lease(0.0)).identity == "one", "nobody waits for the probe's answer any more"
    assert run(polite.report("one", "x", BOT)).paused_s == 10.0


def test_a_failure_of_our_own_is_no_answer_of_the_site() -> None:
    clock = Clock()
    polite = politeness(clock)
    run(polite.report("one", "v", BOT))
    clock.now += 11
    for reason in (Reason.STALLED, Reason.NO_DISK):
        run(polite.report("one", "v", Failure(reason, "")))

    assert polite.snapshot()["identities"][0]["level"] == 1
    assert polite.snapshot()["identities"][0]["answers"] == 0


def test_a_pause_of_captions_is_a_first_one_again_after_an_answer_and_needs_two_tracks_each_time() -> None:
    clock = Clock()
    polite = politeness(clock)

    def pauses(*subjects: str) -> list[float]:
        return [run(polite.report("one", subject, REFUSED_CAPTIONS)).paused_s for subject in subjects]

    assert pauses("v", "w") == [0.0, 10.0]
    clock.now += 11
    assert pauses("x", "y") == [0.0, 40.0], "each pause begins with two tracks"
    clock.now += 41
    run(polite.report("one", "well", None))
    assert pauses("a", "b") == [0.0, 10.0]
    assert polite.snapshot()["identities"][0]["refusals"] == 6


def test_who_was_refused_since_its_last_answer_does_not_count_as_one_that_serves_others() -> None:
    clock = Clock()
    polite = politeness(clock, "one", "two")
    for name in ("one", "two"):
        run(polite.report(name, f"well-{name}", None))
    run(polite.report("one", "other", BOT))
    clock.now += 11
    run(polite.report("one", "odd", BOT))
    assert not run(polite.report("two", "odd", BOT)).charged


def test_a_video_that_somebody_could_see_is_not_to_blame_for_what_came_before() -> None:
    polite = politeness(Clock(), "one", "two", "three")
    for name in ("one", "three"):
        run(polite.report(name, f"well-{name}", None))
    run(polite.report("one", "odd", BOT))
    run(polite.report("two", "odd", None))
    assert not run(polite.report("three", "odd", BOT)).charged
