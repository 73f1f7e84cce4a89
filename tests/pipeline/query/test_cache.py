"""The file with the tables: it may be deleted, damaged or shared, and says nothing but what the tables say."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hdvila_testing.shards as toys
from hdvila_testing.requests import count_requests
from hdvila_testing.s3 import s3_server
from manifests.errors import UserError
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.query.cache import open_tables
from pipeline.query.fill import run
from tests.pipeline.engine.merges import fill

N_CLIPS = "SELECT count(*) FROM clips"


def n_clips(store: Store) -> int:
    with open_tables(store, N_CLIPS) as tables:
        ((n,),) = run(tables, N_CLIPS)
    return int(n)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An output directory with six clips."""
    made = Store(str(tmp_path / "out"))
    fill(made, ["u1", "u2"])
    return made


def only_file(cache: Path) -> Path:
    (path,) = cache.glob("*.duckdb")
    return path


def test_it_may_be_deleted_at_any_time(store: Store, cache: Path) -> None:
    assert n_clips(store) == 6
    only_file(cache).unlink()
    fill(store, ["u3"])
    assert n_clips(store) == 9


@pytest.mark.parametrize("damage", [b"no database at all", b""], ids=["overwritten", "cut off"])
def test_a_damaged_one_is_made_again_with_one_line(
    store: Store, cache: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert n_clips(store) == 6
    whole = only_file(cache).read_bytes()
    only_file(cache).write_bytes(damage or whole[: len(whole) // 2])

    with caplog.at_level(logging.INFO, "hdvila"):
        assert n_clips(store) == 6

    assert [line for line in caplog.messages if "made again" in line] == caplog.messages
    assert len(caplog.messages) == 1


def test_one_of_another_directory_is_made_again(
    store: Store, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Store(str(tmp_path / "other"))
    fill(other, ["u7"])
    assert n_clips(other) == 3
    of_other = only_file(cache)
    assert n_clips(store) == 6
    (own,) = set(cache.glob("*.duckdb")) - {of_other}
    own.write_bytes(of_other.read_bytes())

    assert n_clips(store) == 6
    assert "made again" in caplog.text


def test_a_removal_leaves_nothing_in_it(tmp_path: Path, cache: Path) -> None:
    toys.a_data_set(tmp_path / "out", n_videos=3, n_clips=2, prefix="video", config=ShardsConfig(card=toys.NO_CARD))
    store = Store(str(tmp_path / "out"))
    titles = "SELECT title FROM videos ORDER BY video_id"
    with open_tables(store, titles) as tables:
        assert run(tables, titles)[0] == ("Video video-00000",)

    remove(store, Tombstones(videos=frozenset({"video-00000"})), purge=True)

    assert not any(b"Video video-00000" in file.read_bytes() for file in cache.glob("*.duckdb*"))
    with open_tables(store, titles) as tables:
        assert run(tables, titles)[0] == ("",)


def test_nothing_is_written_into_the_output_directory() -> None:
    with s3_server() as server:
        store = server.store("out")
        fill(store, ["u1", "u2"])
        with count_requests() as counted:
            assert n_clips(store) == 6

    assert set(counted.kinds) <= {"GetObject", "HeadObject", "ListObjectsV2"}


def test_where_there_is_no_cache_folder_a_temporary_one_serves(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert n_clips(store) == 6
    assert not list(tmp_path.glob("hdvila-tables-*"))


def test_two_may_read_at_once(store: Store) -> None:
    assert n_clips(store) == 6
    with open_tables(store, N_CLIPS) as tables:
        beside = [sys.executable, "-m", "pipeline", "sql", store.url, N_CLIPS]
        done = subprocess.run(beside, capture_output=True, text=True, env=dict(os.environ), timeout=300)
        assert (done.stdout.splitlines()[1:], done.stderr) == (["6"], "")
        assert run(tables, N_CLIPS) == [(6,)]


def test_who_finds_something_new_waits_for_those_that_read(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []
    late = threading.Thread(target=lambda: seen.append(n_clips(store)))
    with caplog.at_level(logging.INFO, "hdvila"), open_tables(store, N_CLIPS) as tables:
        fill(store, ["u3"])
        late.start()
        while "waiting for it" not in caplog.text:
            late.join(0.01)
        assert run(tables, N_CLIPS) == [(6,)]
        assert not seen
    late.join()
    assert seen == [9]


def test_what_a_killed_one_spilled_is_swept(store: Store, cache: Path) -> None:
    assert n_clips(store) == 6
    left = only_file(cache).with_suffix(".spill-killed")
    left.mkdir()
    fill(store, ["u3"])
    assert n_clips(store) == 9
    assert not left.exists()


FULL_DISK = """
import resource, signal, sys
from pipeline.engine.store.store import Store
from pipeline.query.cache import open_tables
from manifests.exits import ExitsByTheTable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with ExitsByTheTable("sql"), open_tables(Store(sys.argv[1]), "SELECT count(*) FROM clips"):
    pass
"""


def test_no_room_for_it_is_one_message(store: Store, cache: Path) -> None:
    """The limit on a file's size stands for a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, store.url], capture_output=True, text=True, env=dict(os.environ), timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr and "XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_the_file_cannot_be_changed(store: Store) -> None:
    with open_tables(store, N_CLIPS) as tables, pytest.raises(Exception, match="locked"):
        run(tables, "SET memory_limit = '100GB'")


def test_an_output_directory_that_cannot_be_read_is_no_fault_of_the_cache(store: Store) -> None:
    (part,) = [part for part in store.parts("clips") if part.unit == "u1"]
    Path(store.path(part.path)).write_bytes(b"no Parquet")
    with pytest.raises(UserError, match="is not a Parquet table"):
        n_clips(store)
