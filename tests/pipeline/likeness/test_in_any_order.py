"""What repeats is the same in whatever order it comes, part by part, merged meanwhile or after a restart: for pictures,
texts and sentences.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hdvila_testing.plans import find_duplicates, find_reuploads
from pipeline.engine.store.store import Store
from pipeline.likeness import index, pictures, sentences, texts
from pipeline.likeness.comparing import Comparing
from pipeline.likeness.index import Kind
from pipeline.likeness.matches import Matches
from tests.pipeline.engine.merges import merge_all
from tests.pipeline.likeness import test_pictures, test_sentences, test_texts
from tests.pipeline.likeness.compare import compare, repeated_pictures

N_VIDEOS = 20
IDS = [f"v{i:02d}" for i in range(N_VIDEOS)]


@dataclass(frozen=True)
class World:
    """Videos that repeat each other. `commit`: some of them, as unit number n; `found`: what a plan reads of those of
    `videos`; `wanted`: what one comparison of those that are there finds.
    """

    kind: Kind
    videos: pa.Table
    commit: Callable[[Store, list[str], int], None]
    found: Callable[[Store, pa.Table], object]
    wanted: Callable[[list[str], pa.Table], object]


def of_pictures(seed: int) -> World:
    """Some are copies of others, some hold a clip of another, and all of a channel have one opening."""
    rng, shown = np.random.default_rng(seed), dict[str, list[test_pictures.Row]]()
    for i, name in enumerate(IDS):
        clips = [test_pictures.pictures(1000 * seed + 10 * i + n, 4) for n in range(5)]
        kind, other = rng.integers(4), shown[IDS[rng.integers(i)]] if i else []
        if kind == 0 and other:
            clips = [test_pictures.copied(hashes, 3, i) for _, _, hashes in other]
        if kind == 1 and other:
            clips[1] = test_pictures.copied(other[2][2], 3, i)
        if kind == 2:
            clips[0] = test_pictures.copied(test_pictures.pictures(7, 4), 3, i)
        shown[name] = [(f"{name}.{n}", f"c{i % 2}", hashes) for n, hashes in enumerate(clips)]

    def found(store: Store, some: pa.Table) -> object:
        return repeated_pictures(store, pa.array(sorted({*IDS} - {*some.column("video_id").to_pylist()}), pa.string()))

    def wanted(there: list[str], some: pa.Table) -> object:
        names = sorted({*there} & {*some.column("video_id").to_pylist()})
        return find_duplicates(test_pictures.packs([row for name in names for row in shown[name]]))

    def commit(store: Store, names: list[str], number: int) -> None:
        test_pictures.commit(store, [row for name in names for row in shown[name]])

    return World(pictures.kind_of(), pa.table({"video_id": IDS, "order": [0] * N_VIDEOS}), commit, found, wanted)


def of_texts(seed: int) -> World:
    draw, talks = random.Random(seed), [test_texts.speech(i, 60) for i in range(5)]
    lengths = [60.0, 61.9, 64.0, 0.0]
    said = {
        name: (test_texts.misheard(draw.choice(talks), 0.02, i), draw.choice(lengths)) for i, name in enumerate(IDS)
    }
    rows, videos = test_texts.tables(said)

    def those(names: list[str]) -> pa.Table:
        return rows.take(pa.array([IDS.index(name) for name in names]))

    return World(
        texts.kind_of(),
        videos.append_column("order", pa.array([i // 8 for i in range(N_VIDEOS)])),
        lambda store, names, number: test_texts.commit(store, those(names), number),
        lambda store, some: texts.find_repeats(Matches(store).of(texts.TEXTS), some),
        lambda there, some: find_reuploads(those(there), some),
    )


def of_sentences(seed: int) -> World:
    draw, lines = random.Random(seed), [*(f"this is the line of number {i}" for i in range(15)), "too short", "x"]
    channels = {name: draw.choice(["a", "b", ""]) for name in IDS}
    said = {name: [(name, n, draw.choice(lines)) for n in range(draw.randint(1, 9))] for name in IDS}
    videos = test_sentences.of_channels(channels)

    def wanted(there: list[str], some: pa.Table) -> object:
        names = some.column("video_id").to_pylist()
        rows = [row for name in there for row in said[name]]
        return test_sentences.by_the_rule(rows, {name: channels[name] for name in names})

    return World(
        sentences.kind_of(),
        videos.set_column(2, "order", pa.array([i // 10 for i in range(N_VIDEOS)])),
        lambda store, names, number: test_sentences.commit(store, [row for n in names for row in said[n]], number),
        test_sentences.found,
        wanted,
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("made", [of_pictures, of_texts, of_sentences])
def test_what_repeats_is_the_same_in_whatever_order_it_comes(
    tmp_path: Path, made: Callable[[int], World], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "AT_A_TIME", 4)
    monkeypatch.setattr(sentences, "AT_A_TIME", 6)
    monkeypatch.setattr(index, "FAN_IN", 2)
    world, draw, store = made(seed), random.Random(seed), Store(str(tmp_path / "out"))
    comparing, came, n = Comparing(store, world.kind), draw.sample(IDS, N_VIDEOS), 0
    while n < N_VIDEOS:
        more = came[n : n + draw.randint(3, 7)]
        world.commit(store, more, n)
        n += len(more)
        if draw.random() < 0.5:
            merge_all(store)
        if draw.random() < 0.4:
            comparing = Comparing(store, world.kind)
        compare(store, world.kind, world.videos, tmp_path, comparing)
        for some in (world.videos.slice(0, 12), world.videos):
            assert world.found(store, some) == world.wanted(came[:n], some)
    assert len(world.wanted(IDS, world.videos)) > 1  # type: ignore[arg-type]
