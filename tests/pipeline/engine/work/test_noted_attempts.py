"""A run in one process that dies at a unit is not ended by it for ever: at the second death the video is rejected."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.run.drain import StopRequest, drain_on_sigterm
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import DIED
from pipeline.engine.work.noted_attempts import ATTEMPT_NAME, NotedAttempts
from tests.conftest import REPO
from tests.pipeline.run.small_runs import bytes_of, films_in, start

DEADLY = """
import ctypes, os, signal, sys
from pathlib import Path
import av
from pipeline.engine.store.store import Store
from tests.pipeline.run.small_runs import start
out, films, stage, how = sys.argv[1:]
opened = av.open

def crashing(path, *arguments, **options):
    if "film-1" in path and (stage == "folder" or Store(out).committed("clips")):
        ctypes.string_at(0) if how == "SEGV" else os.abort() if how == "ABRT" else os.kill(os.getpid(), signal.SIGKILL)
    return opened(path, *arguments, **options)

av.open = crashing
sys.exit(start(Path(out), Path(films)).exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "deaths"),
    [("media", ("ABRT", "KILL")), pytest.param("folder", ("SEGV", "ABRT"), marks=pytest.mark.long)],
)
def test_a_film_that_ends_the_program_is_rejected_at_the_second_death_and_the_others_are_kept(
    tmp_path: Path, stage: str, deaths: tuple[str, str]
) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    films_in(films)

    def crashing(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DEADLY, out, films, stage, how]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True)

    assert [crashing(how).returncode for how in deaths] == [-signal.Signals[f"SIG{how}"] for how in deaths]
    last = crashing("SEGV")

    assert last.returncode == 0, last.stderr
    [reject] = [row for row in Store(str(out)).read_rejects().to_pylist() if row["reason"] == "killed_worker"]
    assert reject["stage"] == stage and DIED in reject["detail"]
    assert not (out / ATTEMPT_NAME).exists() and not list(out.rglob(".tmp-*"))

    (films / "film-1.mp4").unlink()
    assert start(tmp_path / "calm", films).exit_code == 0
    made, calm = ({k: v for k, v in bytes_of(o).items() if k.endswith(".tar")} for o in (out, tmp_path / "calm"))
    assert len(made) == 2 and sorted(made.values()) == sorted(calm.values())


NEVER_LEFT: list[object] = []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def dies_at(store: Store, unit: str, *items: str) -> None:
    """What a process leaves that dies in a unit, after it has begun these items where they are noted."""
    noted = NotedAttempts(store)
    NEVER_LEFT.append(attempt := noted.during(unit))
    attempt.__enter__()
    if began := noted.item_began(unit):
        for item in items:
            began(item)


def deaths(store: Store, unit: str) -> int:
    with NotedAttempts(store).during(unit) as n_deaths:
        return n_deaths


def test_deaths_count_in_a_row_and_for_their_unit_alone(store: Store) -> None:
    dies_at(store, "media/a")
    dies_at(store, "media/b")
    dies_at(store, "media/a")

    assert (deaths(store, "media/a"), deaths(store, "media/b"), deaths(store, "media/c")) == (2, 1, 0)
    assert deaths(store, "media/a") == 0, "it has ended since, so that `retry` gives it two tries"
    assert not store.exists(ATTEMPT_NAME)


def test_of_a_unit_of_many_items_only_those_are_to_blame_that_a_process_died_at(store: Store) -> None:
    dies_at(store, "folder/all", "a", "b", "")
    dies_at(store, "folder/all", "a", "b")
    dies_at(store, "folder/all", "a", "b", "c")
    noted = NotedAttempts(store)

    with noted.during("folder/all") as n_deaths:
        began = noted.item_began("folder/all")
        assert began is not None and [began(item) for item in "abcd"] == [False, True, True, False]
    assert n_deaths == 1

    dies_at(store, "folder/all")
    dies_at(store, "folder/all", "a", "")
    assert deaths(store, "folder/all") == 2, "between its items: the unit itself"


def test_a_process_that_was_asked_to_end_and_is_killed_before_it_could_blames_no_unit(store: Store) -> None:
    noted, stop = NotedAttempts(store), StopRequest()
    stop.heard = noted.forgive
    with drain_on_sigterm(stop), noted.during("media/long"):
        assert store.exists(ATTEMPT_NAME)
        os.kill(os.getpid(), signal.SIGTERM)
        until = time.monotonic() + 60
        while store.exists(ATTEMPT_NAME) and time.monotonic() < until:
            time.sleep(0.01)
        assert not store.exists(ATTEMPT_NAME)


def test_a_damaged_note_blames_nobody(store: Store) -> None:
    store.write(ATTEMPT_NAME, b"{")

    assert deaths(store, "media/a") == 0
