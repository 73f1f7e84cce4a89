"""Pairs that are kept while more comes are those that a search through everything finds."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.balance import bands, near
from pipeline.balance.near import Near
from pipeline.balance.shown import Shows, no_shows
from pipeline.media.phash import N_HASHES, Hashes, distances, mirrored_pictures

MAX_DISTANCE = 7


def is_same(a: Hashes, b: Hashes) -> bool:
    """Whether any picture of one is near one of the other in its whole, as it is or mirrored."""
    return any(bool((distances(a[:, 0], other[:, 0]) <= MAX_DISTANCE).any()) for other in (b, mirrored_pictures(b)))


def a_world(seed: int, n_videos: int) -> list[Shows]:
    """One of two clips a video; some are copies, whole or mirrored, and some pictures are everybody's."""
    rng = np.random.default_rng(seed)
    everybody = rng.integers(1, 2**63, (2, N_HASHES), dtype=np.uint64)
    worlds: list[Hashes] = []
    shows = []
    for video in range(n_videos):
        counts = rng.integers(0, 4, 2)
        pictures = rng.integers(1, 2**63, (int(counts.sum()), N_HASHES), dtype=np.uint64)
        for row in range(len(pictures)):
            kind = rng.integers(5)
            if kind == 0 and worlds:
                pictures[row] = worlds[rng.integers(len(worlds))]
            if kind == 1 and worlds:
                pictures[row] = mirrored_pictures(worlds[rng.integers(len(worlds))][None, :])[0]
            if kind == 2:
                pictures[row] = everybody[rng.integers(2)]
            if kind == 3:
                pictures[row, rng.integers(N_HASHES)] = 0
            pictures[row, pictures[row] != 0] ^= np.uint64(1) << rng.integers(0, 64, dtype=np.uint64)
            worlds.append(pictures[row])
        table = pa.table(
            {"id": [f"v{video}.{k}" for k in range(2)], "video_id": [f"v{video}"] * 2, "channel_id": [""] * 2}
        ).append_column("n", pa.array([0, 1], pa.int64()))
        shows.append(Shows(table.cast(no_shows().table.schema), np.append(0, np.cumsum(counts)), pictures))
    return shows


def joined(some: list[Shows]) -> Shows:
    starts = np.append(0, np.cumsum(np.concatenate([one.counts() for one in some])))
    return Shows(pa.concat_tables([s.table for s in some]), starts, np.concatenate([s.hashes for s in some]))


def pairs_of(known: Near, but: list[str]) -> list[tuple[str, str]]:
    shows, pairs = known.same(pa.array(but, pa.string()))
    return [(shows.id_of(a), shows.id_of(b)) for a, b in pairs]


@pytest.fixture(params=[(bands.bits_of, 64), (lambda n: max(3, n.bit_length() - 3), 64), (lambda n: 5, 3)])
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups as in a run, groups that change as more comes, and groups of which many are crowds."""
    bits_of, crowd = request.param
    monkeypatch.setattr(near, "bits_of", bits_of)
    monkeypatch.setattr(bands, "_CROWD", crowd)
    monkeypatch.setattr(bands, "_AT_A_TIME", 40)


@pytest.mark.usefixtures("sizes")
@given(seed=st.integers(0, 10_000), n_videos=st.integers(1, 24), draw=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_new_against_old_finds_what_all_against_all_finds_in_whatever_order_things_come(seed, n_videos, draw) -> None:
    world = a_world(seed, n_videos)
    came = list(range(n_videos))
    draw.shuffle(came)
    kept = Near(MAX_DISTANCE, is_same)
    n = 0
    while n < n_videos:
        more = draw.randint(1, n_videos - n)
        kept.add(joined([world[i] for i in came[n : n + more]]))
        n += more
        for _ in range(draw.randint(0, 2)):
            but = draw.sample(came[:n], draw.randint(0, min(n, 3)))
            fresh = Near(MAX_DISTANCE, is_same)
            for i in sorted(set(came[:n]) - set(but)):
                fresh.add(world[i])
            assert pairs_of(kept, [f"v{i}" for i in but]) == pairs_of(fresh, [])


@pytest.mark.usefixtures("sizes")
def test_copies_are_among_the_pairs_and_strangers_are_not() -> None:
    pictures = np.random.default_rng(1).integers(1, 2**63, (3, 4, N_HASHES), dtype=np.uint64)
    pictures[2] = pictures[0] ^ np.uint64(1 << 9)
    schema = no_shows().table.schema
    known = Near(MAX_DISTANCE, is_same)
    for i in (2, 0, 1):
        row = pa.table({"id": [f"v{i}.0"], "video_id": [f"v{i}"], "channel_id": [""], "n": [0]}).cast(schema)
        known.add(Shows(row, np.array([0, 4]), pictures[i]))
    assert pairs_of(known, []) == [("v0.0", "v2.0")] and pairs_of(known, ["v0"]) == []


def test_only_what_new_ones_touch_is_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(3, 60)
    known = Near(MAX_DISTANCE, is_same)
    known.add(joined(world[:50]))
    known.same(pa.array([], pa.string()))
    searched: list[int] = []
    search = near.pairs_in

    def counted(members, *arguments):
        searched.append(sum(len(looked.hashes) for looked in members))
        return search(members, *arguments)

    monkeypatch.setattr(near, "pairs_in", counted)
    known.add(joined(world[50:]))
    known.same(pa.array([], pa.string()))
    known.same(pa.array([], pa.string()))
    whole = len(near.looked_up(joined(world), 0).hashes) * len(bands.SHIFTS)
    assert len(searched) == 1 and searched[0] < 0.7 * whole
