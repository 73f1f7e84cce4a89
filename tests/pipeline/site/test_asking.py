"""The one loop of everything that asks: what each end of an attempt is charged to, and who asks next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig, IdentityConfig
from pipeline.engine.executor import SharedHere
from pipeline.engine.unit import StopRun
from pipeline.site.asking import REFUSALS_OF_ONE_SUBJECT, Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.failures import Failure, Pause
from pipeline.site.politeness import Politeness
from pipeline.site.ytdlp import IdentityPaused
from tests.pipeline.crawl.site import hurried

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
    second = work.config.second_clients
    assert [turn.clients for turn in turns] == [work.config.player_clients, second]


def test_a_subject_that_everybody_is_refused_at_comes_to_an_end() -> None:
    turns: list[Turn] = []
    work = asking(pauses_s=(0.01,), probe_s=0.01)
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


def test_nothing_else_in_the_pipeline_takes_a_lease() -> None:
    """Pauses, stops, tries and back-off have one rule because they have one place."""
    files = (Path(pipeline.__file__ or "").parent).rglob("*.py")
    assert [file.name for file in files if ".lease(" in file.read_text(encoding="utf-8")] == ["asking.py"]
