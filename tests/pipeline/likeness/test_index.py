"""Pairs that are kept while more comes are those that one search through everything finds."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.engine.store.files import Files
from pipeline.likeness import bands, index, search, tasks
from pipeline.likeness.bands import bits_of
from pipeline.likeness.files import LostHashes
from pipeline.likeness.index import AlikeIndex, Kind
from pipeline.likeness.pictures import asked, filed, kind_of, things_of
from pipeline.likeness.shown import Shows, no_shows
from pipeline.media.phash import N_HASHES, Hashes, mirrored_pictures
from tests.pipeline.likeness.test_search import agree_in_two

MAX_DISTANCE = 7


def is_same(a: Hashes, b: Hashes) -> bool:
    """Whether any picture of one is near one of the other in its whole, as it is or mirrored."""
    both = np.concatenate([b, mirrored_pictures(b)])
    return bool((np.bitwise_count(a[:, None, 0] ^ both[None, :, 0]) <= MAX_DISTANCE).any())


KIND = kind_of("clips", MAX_DISTANCE, is_same)


def a_world(seed: int, n_videos: int) -> pa.Table:
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
    ids = [f"v{i:03d}" for i in range(n_videos)]
    table = pa.table({"id": ids, "video_id": ids, "channel_id": [""] * n_videos, "n": [0] * n_videos})
    shows = Shows(table.cast(no_shows().table.schema), np.append(0, np.cumsum(counts)), pictures)
    return things_of(shows)


@cache
def wanted_of(seed: int, n_videos: int, crowd: int) -> list[tuple[str, str]]:
    """What one search through a world finds where groups of so many are crowds: reckoned once, hash by hash."""
    assert crowd == search.CROWD
    return by_the_rule(a_world(seed, n_videos))


def by_the_rule(things: pa.Table, kind: Kind = KIND) -> list[tuple[str, str]]:
    """What one search through everything finds, hash by hash."""
    has = filed(things)
    bits = bits_of(np.cumsum(has.counts) - has.counts).tolist()
    owners = np.repeat(np.arange(things.num_rows), has.counts).tolist()
    candidates = set()
    for column, looks in zip(has.hashes.tolist(), asked(things), strict=True):
        filed_by = [[k for o, k in zip(owners, column, strict=True) if o == thing] for thing in range(things.num_rows)]
        for askers, looked in looks:
            for key, owner in zip(looked.tolist(), askers.tolist(), strict=True):
                together = [agree_in_two(some, looked[askers == owner].tolist(), KIND.nearness) for some in filed_by]
                for shift in bands.SHIFTS:
                    group = [
                        (o, k)
                        for o, k in zip(owners, column, strict=True)
                        if o < owner and k and first_bits(k, shift, bits[owner]) == first_bits(key, shift, bits[owner])
                    ]
                    near = [o for o, k in group if (k ^ key).bit_count() <= MAX_DISTANCE][: search.CROWD]
                    kept = [o for o in near if together[o]]
                    candidates |= {(o, owner) for o in (kept if len(near) < search.CROWD else kept[:2])}
    rows = things.to_pylist()
    return sorted((rows[a]["id"], rows[b]["id"]) for a, b in candidates if kind.is_same(rows[a], rows[b]))


def first_bits(key: int, shift: int, bits: int) -> int:
    return (key << shift) % 2**64 >> (64 - bits)


def found(one: AlikeIndex) -> list[tuple[str, str]]:
    pairs = one.pairs("clips")
    return sorted(zip(pairs.column("a.id").to_pylist(), pairs.column("b.id").to_pylist(), strict=True))


def opened(folder: Path, settings: str = "1") -> AlikeIndex:
    one = AlikeIndex(Files(str(folder)), "pictures", [KIND], settings)
    one.refresh()
    return one


def left_of(one: AlikeIndex, things: pa.Table) -> pa.Table:
    return things.filter(pa.array(~one.are_added(things.column("video_id"))))


def grow(one: AlikeIndex, things: pa.Table, draw: random.Random, most: int = 12) -> None:
    """Takes up what is left, some at a time."""
    while (left := left_of(one, things)).num_rows:
        some = left.slice(0, draw.randint(1, most))
        one.add({"clips": some}, some.column("video_id").combine_chunks())


@pytest.fixture
def crowd() -> int:
    """How many a crowd is, where a test does not say it: many groups are crowds."""
    return 3


@pytest.fixture
def small(crowd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many spans, merged soon; groups of which some are crowds, and groups by chance."""
    monkeypatch.setattr(search, "CROWD", crowd)
    monkeypatch.setattr(bands, "LEAST_BITS", 9)
    monkeypatch.setattr(tasks, "TASK_BYTES", 2_000)
    monkeypatch.setattr(tasks, "PIECE_BYTES", 500)
    monkeypatch.setattr(search, "_PAIRS", 7)
    monkeypatch.setattr(search, "_AT_A_TIME", 5)
    monkeypatch.setattr(index, "FAN_IN", 3)
    monkeypatch.setattr(index, "GROUP_ROWS", 4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("seed", "crowd"), [(0, 64), (1, 3)])
def test_new_against_old_finds_what_one_search_through_everything_finds(tmp_path: Path, seed: int, crowd: int) -> None:
    things, draw = a_world(seed, 40), random.Random(seed)
    wanted = wanted_of(seed, 40, crowd)
    one = opened(tmp_path / "some")
    grow(one, things.slice(0, 30), draw)
    assert found(one) == [(a, b) for a, b in wanted if b < "v030"], "what comes later changes nothing"
    grow(opened(tmp_path / "some"), things, draw)  # another driver, which takes up what the first one left
    one.refresh()
    assert wanted and found(one) == wanted == found(opened(tmp_path / "some"))


class Killed(Exception):
    pass


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("seed", "crowd"), [(0, 64), (1, 3)])
def test_a_driver_killed_at_any_write_goes_on_and_leaves_no_stray_file(
    tmp_path: Path, seed: int, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    things, draw = a_world(seed, 40), random.Random(seed)
    write, delete = Files.write, Files.delete
    left = [0]

    def counted(call: Any) -> Any:
        def perhaps(self: Files, *arguments: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            call(self, *arguments)

        return perhaps

    monkeypatch.setattr(Files, "write", counted(write))
    monkeypatch.setattr(Files, "delete", counted(delete))
    n_killed = 0
    for left[0] in [draw.randint(1, 12) for _ in range(8)] + [10**9]:
        try:
            grow(opened(tmp_path / "killed"), things, draw)
        except Killed:
            n_killed += 1
    one = opened(tmp_path / "killed")
    assert n_killed > 3 and found(one) == wanted_of(seed, 40, crowd)
    named = {Path(run.file.path).name for of_kind in one._state.kinds.values() for run in of_kind.runs}
    assert {path.name for path in (tmp_path / "killed").rglob("*.near")} == named


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("what", ["*.near", "taken.bin", "clips.pairs.parquet", "clips.parquet", "state.json"])
def test_what_is_lost_or_damaged_is_said_and_made_again(tmp_path: Path, what: str) -> None:
    things, draw = a_world(1, 40), random.Random(1)
    grow(opened(tmp_path), things.slice(0, 30), draw)
    for path in tmp_path.rglob(what):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LostHashes):
        grow(one := opened(tmp_path), things, draw)
    one = AlikeIndex(Files(str(tmp_path)), "pictures", [KIND], "1")
    one.clear()
    one.refresh()
    grow(one, things, draw)
    assert found(one) == wanted_of(1, 40, 3)


def test_other_settings_make_everything_again(tmp_path: Path) -> None:
    grow(opened(tmp_path), a_world(1, 10), random.Random(1))
    with pytest.raises(LostHashes, match="other settings"):
        opened(tmp_path, "2")


def test_files_of_another_format_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things, wanted = a_world(1, 15), by_the_rule(a_world(1, 15))
    with monkeypatch.context() as other:
        other.setattr(index, "FORMAT", 99)
        grow(opened(tmp_path), things, random.Random(1))
    one = AlikeIndex(Files(str(tmp_path)), "pictures", [KIND], "1")
    with pytest.raises(LostHashes, match="other settings"):
        one.refresh()
    one.go_on(lambda: None, lambda: grow(one, things, random.Random(2)))
    assert found(one) == wanted and wanted


@pytest.mark.usefixtures("small")
def test_work_is_spread_and_a_search_reads_each_byte_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = a_world(1, 40)
    sizes: list[int] = []

    def spread(work: Any, items: Any) -> Any:
        sizes.append(len(items))
        return map(work, items)

    one = AlikeIndex(Files(str(tmp_path)), "pictures", [KIND], "1", spread)
    one.refresh()
    grow(one, things, random.Random(2))
    assert max(sizes) > 3 and found(one) == wanted_of(1, 40, 3)
