"""A run that stops between any two changes of its output directory is finished by the next: the same bytes, no more.

As it runs, its directory is copied before each change that it makes; each copy is what a kill at that moment leaves.
Every sixtieth is finished by `make test`, all by `make test-long`; another run is killed again and again.
"""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from hdvila_testing.kills import Writes
from hdvila_testing.s3 import s3_server
from manifests.lock import LOCK
from manifests.schema import TABLES
from manifests.shards import read_manifest
from pipeline.engine.store.delete_merged import sweep_orphans
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.work.noted_attempts import ATTEMPT_NAME
from pipeline.run import session
from tests.pipeline.run.small_runs import N_FILMS, bytes_of, describe, films_in, start

pytestmark = pytest.mark.slow

CHANGES = ("write", "put", "create", "replace", "delete")
OPERATIONAL = (LOCK, "status.json", ATTEMPT_NAME)
MERGES = MergeSizes(n_units=2, fan_in=2, grace_s=0)


@contextmanager
def copied_before_each_change(out: Path, copies: Path) -> Iterator[list[str]]:
    """Gives the list of changes: before the n-th was made, the directory looked like `copies`/n."""
    changes: list[str] = []
    guard, inside = threading.RLock(), threading.local()

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: Store, *arguments: Any, **named: Any) -> Any:
            relative = arguments[1] if name == "put" else arguments[0]
            if getattr(inside, "change", False) or relative in OPERATIONAL:
                return change(store, *arguments, **named)
            with guard:
                copy(out, copies / str(len(changes)))
                changes.append(f"{name} {relative}")
                inside.change = True
                try:
                    return change(store, *arguments, **named)
                finally:
                    inside.change = False

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in CHANGES:
            patched.setattr(Store, name, watched(name, getattr(Store, name)))
        yield changes


def copy(out: Path, to: Path) -> None:
    """A directory as a dead process leaves it. Its files are never changed in place, so that links will do."""
    shutil.copytree(out, to, copy_function=os.link, ignore=shutil.ignore_patterns(LOCK, ".tmp-*"))


def books_of(store: Store) -> dict[str, Any]:
    """What the tables hold and the manifest counts, times and hosts apart."""
    of_videos = [table for table, schema in TABLES.items() if "video_id" in schema.names]
    ids = {table: Counter(store.read_table(table, ["video_id"]).column(0).to_pylist()) for table in of_videos}
    rejects = store.read_rejects().select(["stage", "video_id", "clip_id", "reason"]).to_pylist()
    head = read_manifest(store.url, **dict(store.options)).head
    counted = {name: head[name] for name in ("totals", "funnel")}
    return {"ids": ids, "rejects": sorted(map(str, rejects)), "counted": json.dumps(counted, sort_keys=True)}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.long)])
def test_a_run_stopped_between_any_two_changes_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(session, "MERGES", MERGES)
    films, out, copies = (tmp_path / name for name in ("films", "out", "copies"))
    films.mkdir()
    films_in(films)
    (films / "film-9.mp4").write_bytes(b"no film at all")
    describe(films / "film-9.mp4", 9)
    with copied_before_each_change(out, copies) as changes:
        assert start(out, films).exit_code == 0
    products, books = bytes_of(out), books_of(Store(str(out)))
    assert sum(products_of_shards(products)) == 2 * N_FILMS and len(changes) > 60

    for n in range(0, len(changes), every):
        stopped = copies / str(n)
        assert start(stopped, films).exit_code == 0, f"stopped before {n}: {changes[n]}"
        assert bytes_of(stopped) == products, f"stopped before {n}: {changes[n]}"
        assert books_of(Store(str(stopped))) == books, f"stopped before {n}: {changes[n]}"
        assert_nothing_is_left_over(Store(str(stopped)), changes[n])
        shutil.rmtree(stopped)


def products_of_shards(products: dict[str, str]) -> list[bool]:
    return [name.startswith("shards/") for name in products]


def assert_nothing_is_left_over(store: Store, change: str) -> None:
    """Neither half a file nor one that no commit and no segment names."""
    assert not store.is_local or not list(Path(store.root).rglob(".tmp-*")), change
    assert store.sweep_parts() == 0, change
    sweep = sorted(store.fs.find(store.root))
    sweep_orphans(store)
    assert sorted(store.fs.find(store.root)) == sweep, change


def run_killed_before(change: int, out: str, films: Path, environment: dict[str, str]) -> None:
    """In a process of its own: a run that is killed before it makes its n-th change; 0: it is not."""
    os.environ.update(environment)
    session.MERGES = MERGES
    Writes(change, *CHANGES)
    sys.exit(start(out, films).exit_code)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("where", "n_kills"),
    [("disk", 2), *(pytest.param(*case, marks=pytest.mark.long) for case in (("disk", 20), ("bucket", 10)))],
)
def test_runs_that_are_killed_again_and_again_end_with_the_same_bytes(tmp_path: Path, where: str, n_kills: int) -> None:
    """Each time before a drawn change of those that one start makes. What a kill hit is then spared: a unit at which
    two runs die is rejected.
    """
    films = tmp_path / "films"
    films.mkdir()
    films_in(films)
    dice, processes, whole = random.Random(n_kills), multiprocessing.get_context("forkserver"), tmp_path / "whole"
    processes.set_forkserver_preload([__name__])
    with s3_server() if where == "bucket" else nullcontext() as s3:

        def end_of(out: Store, change: int) -> int:
            environment = {} if s3 is None else s3.environment
            process = processes.Process(target=run_killed_before, args=(change, out.url, films, environment))
            process.start()
            process.join()
            return int(process.exitcode or 0)

        assert end_of(Store(str(whole)), 0) == 0
        products, books = bytes_of(whole), books_of(Store(str(whole)))
        n_killed = 0
        while n_killed < n_kills:
            name = f"out-{n_killed}"
            out = Store(str(tmp_path / name)) if s3 is None else s3.store(name)
            while end := end_of(out, dice.randint(1, 30) + 40 * out.exists(ATTEMPT_NAME) if n_killed < n_kills else 0):
                assert end == -signal.SIGKILL
                n_killed += 1
            assert {file: hashlib.sha256(out.read(file)).hexdigest() for file in products} == products
            assert books_of(out) == books
            assert_nothing_is_left_over(out, name)
