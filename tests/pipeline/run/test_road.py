"""A run whose shards close while media comes, stopped at the worst moments: what is selected is what is in shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from manifests.exits import ExitCode
from manifests.files import Files
from pipeline.crawl.plan import Wanted
from pipeline.engine.run.lines import Line
from pipeline.engine.store.store import Store
from pipeline.run import road
from pipeline.run.batches import Gathered
from pipeline.run.generations import GENERATIONS
from pipeline.run.session import Run
from tests.pipeline.run.small_runs import N_FILMS, bytes_of, films_in, start

pytestmark = pytest.mark.slow


class Stopped(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films_in(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def compared(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that compares pictures and that nothing disturbed. Not to be written to."""
    out = tmp_path_factory.mktemp("compared") / "out"
    start(out, films, compares=True)
    assert "duplicate_video" in pq.read_table(out / "selection.parquet").column("reason").to_pylist()
    return out


def stop_after_writing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The process ends as soon as this document is written."""
    write: Callable[..., None] = Store.write_json

    def write_and_stop(store: Store, path: str, document: Any) -> None:
        write(store, path, document)
        if path == name:
            raise Stopped

    monkeypatch.setattr(Store, "write_json", write_and_stop)


def test_a_run_stopped_before_it_made_the_last_shards_it_decided_on_ends_as_if_undisturbed(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    start(undisturbed, films)
    last = Store(str(undisturbed)).names(GENERATIONS)[-1]

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        stop_after_writing(patched, f"{GENERATIONS}/{last}")
        start(stopped, films)
    start(stopped, films)

    assert bytes_of(stopped) == bytes_of(undisturbed)


@pytest.mark.parametrize("n_writes", [1, 3, 14])
def test_a_run_stopped_while_it_compares_pictures_ends_as_if_undisturbed(
    films: Path, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_writes: int
) -> None:
    stopped, put, left = tmp_path / "stopped", Files.put, [n_writes]

    def put_and_stop(files: Files, local: Path, path: str) -> None:
        put(files, local, path)
        left[0] -= path.startswith("alike/")
        if not left[0]:
            raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Files, "put", put_and_stop)
        start(stopped, films, compares=True)
    if n_writes > 10:
        shutil.rmtree(stopped / "alike")
    start(stopped, films, compares=True)

    assert bytes_of(stopped) == bytes_of(compared)


def test_shards_hold_what_is_selected_after_a_further_crawl_that_brought_nothing(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    further: list[Wanted | None] = [Wanted({}, "clips"), None]

    def brings_nothing(run: Run, wanted: Wanted, gathered: Gathered) -> Line:
        gathered.is_over = True
        yield from ()

    monkeypatch.setattr(road, "wanted_more", lambda run, selection: further.pop(0))
    monkeypatch.setattr(road, "crawl", brings_nothing)
    # Each of 15 categories has a share of one clip until it is known that the others have none.
    delivered = start(tmp_path, films, total=15)

    assert len(further) == 1, "there was a further crawl"
    selected = pq.read_table(tmp_path / "selection.parquet").column("clips_kept").to_pylist()
    n_in_shards = delivered.manifest.head["totals"]["samples"]
    assert sum(len(clips) for clips in selected) == n_in_shards == delivered.balance.clips_kept == N_FILMS
    assert delivered.exit_code == ExitCode.INCOMPLETE, "far fewer than was asked"
