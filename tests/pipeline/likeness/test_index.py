"""Pairs that are found while more comes are those that one search through everything finds."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manifests.errors import DamagedFile, UserError
from manifests.files import Files
from manifests.rows import MatchRow
from pipeline.engine.store.store import Store
from pipeline.likeness import bands, index, search
from pipeline.likeness.bands import bits_of
from pipeline.likeness.comparing import Comparing, compare_again_what_is_lost
from pipeline.likeness.index import Item, Kind, blocks_of, packed, unpacked
from pipeline.likeness.matches import match_of
from pipeline.likeness.pictures import ITEMS, asked, filed, kind_of
from pipeline.likeness.same import Likeness
from pipeline.media.phash import N_HASHES, mirrored_pictures
from tests.pipeline.engine.merges import merge_all
from tests.pipeline.likeness.compare import compare, in_one_order
from tests.pipeline.likeness.test_pictures import commit
from tests.pipeline.likeness.test_together import agree_in_two

MAX_DISTANCE = 7
N_VIDEOS = 40


@cache
def a_world(seed: int, n_videos: int = N_VIDEOS) -> pa.Table:
    """A clip a video; some are copies, whole or mirrored, and some pictures are everybody's."""
    rng = np.random.default_rng(seed)
    everybody = rng.integers(1, 2**63, (2, N_HASHES), dtype=np.uint64)
    counts = rng.integers(0, 5, n_videos)
    pictures = rng.integers(1, 2**63, (int(counts.sum()), N_HASHES), dtype=np.uint64)
    for row in range(len(pictures)):
        kind = rng.integers(5)
        if kind == 0 and row > 2:
            pictures[row - 1 : row + 1] = pictures[(first := rng.integers(row - 1)) : first + 2]
        if kind == 1 and row > 2:
            pictures[row - 1 : row + 1] = mirrored_pictures(pictures[(first := rng.integers(row - 1)) : first + 2])
        if kind == 2:
            pictures[row] = everybody[rng.integers(2)]
        if kind == 3:
            pictures[row, rng.integers(N_HASHES)] = 0
        pictures[row, pictures[row] != 0] ^= np.uint64(1) << rng.integers(0, 64, dtype=np.uint64)
    shown = np.split(pictures.astype("<u8"), np.cumsum(counts)[:-1])
    each = [np.array([count], "<u4").tobytes() for count in counts]
    rows = [[f"v{i:03d}" for i in range(n_videos)], [""] * n_videos, [bytes(4)] * n_videos, each]
    return pa.table([*rows, [some.tobytes() for some in shown]], schema=ITEMS)


def items_of(seed: int, rows: pa.Table) -> pa.Table:
    world = a_world(seed)
    return world.take(pc.index_in(rows.column("video_id"), world.column("video_id").combine_chunks()))


def all_that_are_near(pairs: Sequence[tuple[Item, Item]]) -> list[MatchRow]:
    return [match_of("clips", a, b, i, k) for (a, i), (b, k) in pairs]


def kind_in(seed: int) -> Kind:
    """Pictures of a world, of which all that are near count as matches."""
    kind = kind_of(Likeness(max_distance=MAX_DISTANCE))
    return replace(kind, items=partial(items_of, seed), matches=all_that_are_near)


NEARNESS = kind_in(0).nearness


@cache
def wanted_of(seed: int, crowd: int) -> list[tuple[str, str]]:
    """What one search through a world finds where groups of so many are crowds: reckoned once, hash by hash."""
    assert crowd == search.CROWD
    return by_the_rule(a_world(seed))


def by_the_rule(things: pa.Table) -> list[tuple[str, str]]:
    """What one search through everything finds, hash by hash."""
    has = filed(things)
    bits = bits_of(np.cumsum(has.counts) - has.counts).tolist()
    owners = np.repeat(np.arange(things.num_rows), has.counts).tolist()
    candidates = set()
    for column, looks in zip(has.hashes.tolist(), asked(things), strict=True):
        filed_by = [[k for o, k in zip(owners, column, strict=True) if o == thing] for thing in range(things.num_rows)]
        for askers, looked in looks:
            for key, owner in zip(looked.tolist(), askers.tolist(), strict=True):
                together = [agree_in_two(some, looked[askers == owner].tolist(), NEARNESS) for some in filed_by]
                for shift in bands.SHIFTS:
                    group = [
                        (o, k)
                        for o, k in zip(owners, column, strict=True)
                        if o < owner and k and first_bits(k, shift, bits[owner]) == first_bits(key, shift, bits[owner])
                    ]
                    near = [o for o, k in group if (k ^ key).bit_count() <= MAX_DISTANCE][: search.CROWD]
                    kept = [o for o in near if together[o]]
                    candidates |= {(o, owner) for o in (kept if len(near) < search.CROWD else kept[:2])}
    ids = things.column("video_id").to_pylist()
    return sorted((ids[a], ids[b]) for a, b in candidates)


def first_bits(key: int, shift: int, bits: int) -> int:
    return (key << shift) % 2**64 >> (64 - bits)


@pytest.fixture
def crowd() -> int:
    """How many a crowd is, where a test does not say it: many groups are crowds."""
    return 3


@pytest.fixture
def small(crowd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several units a batch, files of several batches soon; groups of which some are crowds, and groups by chance."""
    monkeypatch.setattr(search, "CROWD", crowd)
    monkeypatch.setattr(bands, "LEAST_BITS", 9)
    monkeypatch.setattr(search, "_PAIRS", 7)
    monkeypatch.setattr(search, "_AT_A_TIME", 5)
    monkeypatch.setattr(index, "TASK_BYTES", 500)
    monkeypatch.setattr(index, "FAN_IN", 2)
    monkeypatch.setattr(index, "MOST_BATCHES", 4)
    monkeypatch.setattr(index, "GROUP_BYTES", 400)


def a_store(folder: Path, n_videos: int = N_VIDEOS) -> Store:
    """All videos of a world as the media stage commits them; what they show is read from the world."""
    store = Store(str(folder / "out"))
    commit(store, [(f"{video_id}.0", "", []) for video_id in a_world(0).column("video_id").to_pylist()[:n_videos]])
    return store


def found(store: Store) -> list[tuple[str, str]]:
    matches = store.read_table("matches", ["other_video_id", "video_id"])
    return sorted(zip(*(column.to_pylist() for column in matches.columns), strict=True))


def grow(store: Store, kind: Kind, scratch: Path, draw: random.Random, n_videos: int = N_VIDEOS) -> None:
    """Compares some videos at a time, in the order of their ids, by one driver after the other."""
    ids = pa.array([f"v{i:03d}" for i in range(n_videos)])
    n = 0
    while n < n_videos:
        n = min(n_videos, n + draw.randint(1, 9))
        compare(store, replace(kind, at_a_time=draw.randint(1, 9)), in_one_order(ids[:n]), scratch)
        if draw.random() < 0.2:
            merge_all(store)


def files_in(store: Store) -> set[str]:
    return {str(path.relative_to(store.root)) for path in Path(store.root).rglob("alike/**/*.parquet")}


def files_of(kind: Kind, n_batches: int) -> set[str]:
    return {kind.items_path(batch) for batch in range(n_batches)} | {
        kind.column_path(block, column) for block in blocks_of(n_batches) for column in range(N_HASHES)
    }


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("seed", "crowd"), [(0, 64), (1, 3)])
def test_new_against_old_finds_what_one_search_through_everything_finds(tmp_path: Path, seed: int, crowd: int) -> None:
    store, kind, wanted = a_store(tmp_path), kind_in(seed), wanted_of(seed, crowd)
    grow(store, kind, tmp_path, random.Random(seed), 30)
    assert found(store) == [(a, b) for a, b in wanted if b < "v030"], "what comes later changes nothing"
    grow(store, kind, tmp_path, random.Random(seed))
    assert wanted and found(store) == wanted


class Killed(BaseException):
    pass


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("seed", "crowd"), [pytest.param(0, 64, marks=pytest.mark.long), (1, 3)])
def test_a_run_killed_at_any_write_goes_on_and_leaves_no_stray_file(
    tmp_path: Path, seed: int, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, kind, draw = a_store(tmp_path), kind_in(seed), random.Random(seed)
    left = [0]

    def counted(call: Any) -> Any:
        def perhaps(self: Files, *arguments: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            call(self, *arguments)

        return perhaps

    for name in ("write", "put", "delete"):
        monkeypatch.setattr(Files, name, counted(getattr(Files, name)))
    n_killed = 0
    for left[0] in [draw.randint(1, 60) for _ in range(8)] + [10**9]:
        try:
            grow(store, kind, tmp_path, draw)
        except Killed:
            n_killed += 1
    assert n_killed > 3 and found(store) == wanted_of(seed, crowd)
    n_batches = 1 + pc.max(store.read_table("compared", ["batch"]).column("batch")).as_py()
    stray = files_in(store) - files_of(kind, n_batches) - files_of(kind, n_batches - 1)
    assert {path.rpartition("/")[0] for path in stray} == {f"alike/pictures/{n_batches - 1:05d}"}, "of the last batch"
    assert files_of(kind, n_batches) <= files_in(store)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("what", "harm"), [("*-*/0.parquet", "flipped"), ("00000/items.parquet", "gone")])
def test_a_file_that_is_gone_or_damaged_is_named_and_all_is_made_again(
    tmp_path: Path, what: str, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, kind, names = a_store(tmp_path), kind_in(1), a_world(1).column("video_id").combine_chunks()
    compare(store, kind, in_one_order(names[:30]), tmp_path)
    for path in Path(store.root, "alike", "pictures").glob(what):
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data) if harm == "flipped" else path.unlink()
    with pytest.raises(
        DamagedFile,
        match=r"parquet: is .*; all of alike/pictures can be .*delete that folder, and run the same command again",
    ):
        compare(store, kind, in_one_order(names), tmp_path)
    for path in Path(store.root, "alike", "pictures").rglob("*.parquet"):
        path.unlink()
    compare_again_what_is_lost(store, [kind])
    assert "everything is compared again from the beginning" in caplog.text
    compare(store, kind, in_one_order(names), tmp_path)
    assert found(store) == wanted_of(1, 3)


def test_a_batch_of_which_nothing_could_be_made_is_named(tmp_path: Path) -> None:
    store, names = a_store(tmp_path), a_world(1).column("video_id").combine_chunks()
    with pytest.raises(UserError, match=r"batch 0 could not be compared: rejects/\w+ holds the traceback"):
        for chain in Comparing(store, kind_in(1)).batches(in_one_order(names)):
            for stage in chain:
                lost = [unit.name for unit in stage.units(store)]
                store.commit_all(stage.name, {name: {"rows": {}, "rejects": {"internal_error": 1}} for name in lost})


def test_two_gib_of_hashes_of_one_column_are_counted_right() -> None:
    """A column of 3.3 million videos has as many. Nothing is written to these pages, so they take no memory."""
    n_each = np.array([2**28, 0, 3])
    array = packed(np.zeros(n_each.sum(), "<u8"), n_each)

    values, found = unpacked(pa.chunked_array([array]), "<u8")

    assert array.nbytes > 2**31 and len(values) == n_each.sum() and found.tolist() == n_each.tolist()
