"""A small data set with clips that were kept, failed and left out, and its page, served."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import hdvila_testing.shards as toys
from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from pipeline.browse.marks import Marks
from pipeline.browse.review import Drawn
from pipeline.browse.rows import Rows
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import reject_row
from pipeline.engine.work.unit import Reject
from pipeline.media.phash import N_HASHES, pack_hashes
from tests.pipeline.browse.client import Client, serving
from tests.pipeline.query.conftest import cache  # noqa: F401 - a cache folder of its own for every test

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)> \" ' & {{ 7*7 }} javascript:alert(1) \u202e"


def a_run(url: str | Path) -> Store:
    """Three videos whose clips are kept, one of which has a silent clip; one left out; one that was private."""
    store = Store(str(url))
    for k in range(4):
        toys.commit_video(store, f"video{k:06d}", category_id=(10, 17)[k % 2], failed={0: "silent"} if k == 1 else {})
    private = Reject(Reason.PRIVATE, "private0000", detail="sign in to see it")
    commit_rows(store, "extract", "lost", {}, [reject_row("extract", private, 1)])
    toys.select(store, {f"video{k:06d}": [n for n in range(3) if (k, n) != (1, 0)] for k in range(3)})
    toys.make_shards(store)
    return store


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Such a run, which no test changes."""
    return a_run(tmp_path_factory.mktemp("run") / "out")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run of which a stranger wrote every text."""
    fields, row, pack = toys._json_fields, toys._video_row, toys._pack_row
    said = {"title": HOSTILE, "text": HOSTILE, "license": HOSTILE, "url": "javascript:alert(1)", "flags": f'["{1}<b>"]'}
    monkeypatch.setattr(toys, "_json_fields", lambda *given: {**fields(*given), **said, "channel_id": HOSTILE})
    texts = {"title": HOSTILE, "channel": HOSTILE, "license": HOSTILE, "url": "javascript:alert(1)"}
    monkeypatch.setattr(toys, "_video_row", lambda *given: {**row(*given), **texts, "channel_id": HOSTILE})
    looks = {"phashes": pack_hashes([(7,) * N_HASHES] * 3)}
    monkeypatch.setattr(toys, "_pack_row", lambda *given: {**pack(*given), **looks})
    store = a_run(tmp_path / "hostile")
    lost = Reject(Reason.PRIVATE, "hostile0000", detail=HOSTILE)
    commit_rows(store, "extract", "hostile", {}, [{**reject_row("extract", lost, 1), "reason": HOSTILE}])
    return store


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Serves a data set until the test ends; whoever asks by the client has the token."""
    opened: list[object] = []

    @contextmanager
    def kept(store: Store, n_drawn: int) -> Iterator[Client]:
        with closing(Rows(store)) as rows:
            drawn = Drawn.begun(tmp_path / "review.jsonl", rows, "", 0, n_drawn) if n_drawn else None
            with serving(store, rows, Marks(tmp_path / "marks.jsonl"), drawn) as client:
                yield client

    def begin(store: Store, n_drawn: int = 0) -> Client:
        opened.append(manager := kept(store, n_drawn))
        return manager.__enter__()

    yield begin
    for manager in reversed(opened):
        manager.__exit__(None, None, None)  # type: ignore[attr-defined]
