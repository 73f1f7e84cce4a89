"""Pauses: they survive a restart, can be asked for by hand, and are logged once."""

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.crawl import PolitenessConfig
from pipeline.engine.store import Store
from pipeline.site.pauses import describe, log_pauses_of, pause_by_hand, read_state
from pipeline.site.politeness import Politeness
from tests.pipeline.site.toys import BOT, Clock, politeness, run


def test_pauses_survive_a_restart_and_are_what_is_left_of_them(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    config = PolitenessConfig(pauses_s=(10.0, 40.0), jitter=0.0)
    first = Politeness(config, {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    run(first.report("one", "v", BOT))
    clock.now += 4
    second = Politeness(config, {"one": 100.0}, store=store, clock=clock, wall_clock=clock)
    assert run(second.take("one", "youtube.com", "page")) == pytest.approx(6.0)
    assert "one paused for another 6 s (bot_check)" in describe(second.snapshot())
    clock.now += 100
    assert read_state(store, clock.now)["identities"][0]["paused_s"] == 0


def test_a_person_pauses_an_identity_by_name_while_the_run_goes_on(tmp_path: Path) -> None:
    clock, store = Clock(), Store(str(tmp_path))
    store.write_json("control.json", {"paused": True})
    polite = Politeness(
        PolitenessConfig(jitter=0.0), {"one": 3.6e6, "two": 3.6e6}, store=store, clock=clock, wall_clock=clock
    )
    pause_by_hand(store, "one", paused=True)
    clock.now += 6
    assert run(polite.lease(0.0, prefer="one")).identity == "two"
    assert run(polite.take("one", "youtube.com", "page")) > 0
    assert "one paused by hand" in describe(polite.snapshot())
    pause_by_hand(store, "one", paused=False)
    clock.now += 6
    assert run(polite.lease(0.0, prefer="one")).identity == "one"
    assert store.read_json("control.json")["paused"] is True


def test_state_that_an_earlier_version_saved_is_taken_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    old = {"name": "one", "rests_s": 50.0, "why": "bot_check", "level": 2, "videos": 3, "refusals": 1}
    store.write_json("politeness.json", {"at": 1000.0, "requests": {}, "identities": [old]})
    assert read_state(store, 1010.0)["identities"][0]["paused_s"] == 40.0


def test_pauses_are_logged_once_and_so_is_their_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    polite: Any = politeness(clock)
    with log_pauses_of(polite, every_s=0.02):
        run(polite.report("one", "v", BOT))
        time.sleep(0.3)
        clock.now += 11
        time.sleep(0.3)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "1 of 1 identities: one paused for another 10 s (bot_check); no work is lost",
        "all identities active again",
    ]
