"""A run looks before it builds upon files that are gone or damaged: it names them, and says what makes them again."""

import logging
import shutil
from pathlib import Path

import pytest

from manifests.errors import DamagedFile, UserError
from pipeline.engine.store.store import Store
from pipeline.run.lost import refuse_what_is_lost
from tests.pipeline.engine.merges import merge_all
from tests.pipeline.run.small_runs import films_in, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its packs, and its films beside it. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "films").mkdir()
    start(folder / "out", films_in(folder / "films"), keep_packs=True)
    start(folder / "out", folder / "films", keep_packs=True)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "out", tmp_path / "out"))


def harm(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "how", "cure"),
    [
        ("shards/*/00000.tar", "deleted", "run with --redo shards where packs are kept"),
        ("shards/*/00000.tar", "cut", "run with --redo shards where packs are kept"),
        ("run.json", "deleted", "begin again in another output directory"),
        ("manifest.json", "flipped", "manifest.json"),
        ("batches/00002.json", "flipped", "batches/00002.json"),
        ("commits/media/*.0000000001.*", "flipped", "commits/media"),
        ("clips/*.parquet", "deleted", "clips/part-clips"),
    ],
)
def test_what_is_lost_is_named_with_its_cure(
    finished: Path, copy: Path, caplog: pytest.LogCaptureFixture, name: str, how: str, cure: str
) -> None:
    harm(sorted(copy.glob(name))[0], how)

    with caplog.at_level(logging.WARNING, "hdvila"):
        try:
            said = str(start(copy, finished / "films", keep_packs=True).accounts)
        except UserError as error:
            said = str(error)

    assert cure in " ".join([said, caplog.text])


def test_lost_segments_are_missed_unless_their_stage_is_made_again(copy: Path) -> None:
    store = Store(str(copy))
    merge_all(store)
    (segment,) = copy.glob("segments/media/*/packs.parquet")
    harm(segment, "cut")

    with pytest.raises(DamagedFile, match=r"segments/media/.*packs\.parquet has \d+ bytes, not .* --redo media"):
        refuse_what_is_lost(store)
    refuse_what_is_lost(store, redo="media")


def test_with_redo_a_run_makes_again_what_is_lost(finished: Path, copy: Path) -> None:
    for path in (*copy.glob("shards/*/00000.tar"), *copy.glob("clips/*.parquet")):
        path.unlink()

    assert start(copy, finished / "films", keep_packs=True, redo="clips").accounts.is_whole

    tars = {path.relative_to(copy): path.read_bytes() for path in copy.glob("shards/*/*.tar")}
    assert tars == {path: (finished / "out" / path).read_bytes() for path in tars} and tars
