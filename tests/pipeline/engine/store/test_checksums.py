"""A byte that flips on a disk or in a bucket is told with the file's name: it never changes what a table says."""

import random
import shutil
from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same

FLIPS = 6
"""Bytes flipped one after the other in each file, in its pages and in its footer."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Segments and parts of single units."""
    store = Store(str(tmp_path_factory.mktemp("whole") / "out"))
    fill(store, UNITS)
    merge_all(store, MergeSizes(3, 2, grace_s=0))
    fill(store, ["u20", "u21"])
    return Path(store.url)


def test_a_flipped_byte_in_any_file_of_a_table_is_named_or_changes_nothing(whole: Path, tmp_path: Path) -> None:
    out, expected = tmp_path / "out", said(Store(str(whole)))
    shutil.copytree(whole, out)
    rng, n_named = random.Random(0), 0
    files = sorted(out.rglob("*.parquet"))
    kinds = {file.name.partition("-")[0] for file in files}
    assert {"part", "units.parquet", "clips.parquet", "videos.parquet", "rejects.parquet"} <= kinds
    for file in files:
        data = file.read_bytes()
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for at in [rng.randrange(4, footer) for _ in range(FLIPS)] + [
            rng.randrange(footer, len(data)) for _ in range(FLIPS)
        ]:
            harmed = bytearray(data)
            harmed[at] ^= rng.randrange(1, 256)
            file.write_bytes(harmed)
            try:
                assert same(said(Store(str(out))), expected), f"{file}: byte {at}"
            except DamagedFile as error:
                n_named += 1
                assert str(file) in str(error) and "\n" not in str(error)
                assert str(error).endswith("restore the file, or make what is in it again: run with --redo making")
        file.write_bytes(data)
    assert n_named > FLIPS * len(files)


def test_what_is_in_a_damaged_segment_is_made_again_with_redo(whole: Path, tmp_path: Path) -> None:
    store = Store(str(shutil.copytree(whole, tmp_path / "out")))
    expected = said(store)
    path = next(part.path for part in store.parts("clips") if part.n_rows >= 0)
    data = bytearray(store.read(path))
    data[100] ^= 1
    store.write(path, bytes(data))
    with pytest.raises(DamagedFile, match=path):
        Store(store.url).read_table("clips")

    store.uncommit("making", *store.committed("making"))  # as --redo does
    fill(store, [*UNITS, "u20", "u21"])
    merge_all(store)

    assert same(said(Store(store.url)), expected)
