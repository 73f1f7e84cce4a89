"""Pauses: they survive a restart, and are logged once."""

import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.store.store import Store
from pipeline.site.pauses import describe_pauses, log_pauses_of, read_state
from pipeline.site.politeness import Politeness
from tests.pipeline.site.toys import BOT, REFUSED_CAPTIONS, Clock, Punctual, run


def test_pauses_survive_a_restart_and_are_what_is_left_of_them(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    config = PolitenessConfig(pauses_s=(10.0, 40.0))
    first = Politeness(config, {"one": 100.0}, dice=Punctual(), store=store, clock=clock, wall_clock=clock)
    for video_id in ("a", "b"):
        run(first.report("one", video_id, REFUSED_CAPTIONS))
    run(first.report("one", "v", BOT))
    clock.now += 4
    second = Politeness(config, {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    assert run(second.take("one", "youtube.com", "page")) == pytest.approx(6.0)
    assert "one paused for another 6 s (bot_check)" in describe_pauses(second.snapshot())
    state = second.snapshot()["identities"][0]
    assert (state["level"], state["captions_paused_s"]) == (1, pytest.approx(6.0))
    clock.now += 100
    assert read_state(store, clock.now)["identities"][0]["paused_s"] == 0


def test_what_is_left_of_pauses_is_never_more_than_was_saved(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    saved = {"name": "one", "paused_s": 50.0004, "captions_paused_s": 3.0}
    store.write_json("politeness.json", {"at": 1000.0, "identities": [saved, {"name": "two"}]})

    one, two = read_state(store, 1010.0)["identities"]
    assert (one["paused_s"], one["captions_paused_s"]) == (40.0, 0.0)
    assert (two["paused_s"], two["captions_paused_s"]) == (0.0, 0.0)
    one, two = read_state(store, 1000.0)["identities"]
    assert (two["paused_s"], two["captions_paused_s"]) == (0.0, 0.0), "of what is not said nobody pauses"
    early = read_state(store, 900.0)["identities"][0]
    assert early["paused_s"] == 50.0, "a clock that was set back lengthens none"
    late = read_state(store)["identities"][0]
    assert late["paused_s"] == 0.0, "by now it is over"
    store.write("politeness.json", b"[]")
    assert read_state(store) == {} and describe_pauses({}) == ""  # type: ignore[typeddict-item]


class Watched:
    """What a state to be shown says from look to look, and an event once all was looked at."""

    def __init__(self, *states: list[dict[str, Any]]) -> None:
        self.states, self.all_seen = [*states], threading.Event()

    def snapshot(self) -> Any:
        if len(self.states) == 1:
            self.all_seen.set()
            return {"identities": self.states[0]}
        return {"identities": self.states.pop(0)}


def test_pauses_are_told_once_for_each_identity(caplog: pytest.LogCaptureFixture) -> None:
    def state(name: str, paused_s: float = 0.0) -> dict[str, Any]:
        asked = {"requests": {"page": 2, "player": 3}}
        return {"name": name, "paused_s": paused_s, "why": "bot_check", **asked}

    well, two = state("one"), state("two")
    paused = state("one", paused_s=60.0)
    watched: Any = Watched([well, two], [well, two], [paused, two], [paused, two], [well, two], [well, two])
    before = set(threading.enumerate())
    requests: dict[str, int] = {}
    with log_pauses_of(watched, requests, every_s=0.001):
        (watcher,) = set(threading.enumerate()) - before
        assert watcher.daemon and watched.all_seen.wait(20)
    assert not watcher.is_alive()

    assert requests == {"one": 5, "two": 5}
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 2 identities: one paused for another 60 s (bot_check); no work is lost",
        "all identities active again",
    ]
    assert inspect.signature(log_pauses_of).parameters["every_s"].default == 5.0, "soon enough to be seen"


def test_many_paused_identities_are_one_short_line() -> None:
    def paused(number: int, why: str, seconds: float) -> Any:
        return {"name": f"id-{number}", "paused_s": seconds, "why": why}

    limited = [paused(n, "rate_limited", 60.0 + n) for n in range(70)]
    state: Any = {"identities": [*limited, paused(70, "bot_check", 900.0), paused(71, "", 0.0)]}
    assert describe_pauses(state) == (
        "71 of 72 identities: id-0, id-1, id-2 and 67 more paused for another 60 to 129 s (rate_limited), "
        "id-70 paused for another 900 s (bot_check); no work is lost"
    )
