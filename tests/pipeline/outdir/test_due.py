"""What is due is told with the command, and goes once it is done."""

from pathlib import Path

from manifests.seals import is_sealed
from pipeline.engine.store.store import Store
from pipeline.outdir.due import PATH, RECHECK, read_due, settle_due, write_due
from pipeline.outdir.named import read_named


def test_what_was_asked_for_is_read_by_remove(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    due = write_due(store, ["b", "a"])

    assert read_named(store.read(PATH).decode().splitlines(), PATH).videos == {"a", "b"}
    assert is_sealed(store.read(PATH))
    assert due == read_due(store) and due.n_asked == 2
    assert f"hdvila-pipeline remove {tmp_path} --ids {tmp_path}/removals/due.txt" in due.lines()[0]
    settle_due(store, {"a"})
    assert read_due(store).n_asked == 1
    settle_due(store, {"b"})
    assert read_due(store).lines() == [] and not store.exists(PATH)


def test_an_unfinished_recheck_that_names_a_removed_video_goes_with_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_json(RECHECK, {"beyond": ["a-video"]})
    settle_due(store, {"another"})
    assert store.exists(RECHECK)

    settle_due(store, {"a-video"})
    assert not store.exists(RECHECK)
