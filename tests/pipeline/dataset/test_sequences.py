"""In whatever order a data set is removed from, purged, merged, resharded, redone and run, what is gone is gone.

In the end, and in each copy, the data set verifies; after each step no removed id or word is in any file outside
tombstones and removals, and after a purge these name nothing either.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import hdvila_testing.shards as toys
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import redo_from
from pipeline.outdir.retries import request_retries, uncommit_requested
from pipeline.outdir.tombstones import RECORDS, TOMBSTONES, Tombstones, read_tombstones
from pipeline.report.page import write_report
from pipeline.shards.manifest import sweep_shards

CONFIG = ShardsConfig(max_samples=2, split=SplitConfig(val=0), card=toys.NO_CARD)
FILMS = {f"ab{k}film{k}xyz{k}"[:11]: f"UCchannel{k // 2}" for k in range(4)}
"""{video: its channel}"""
FIRST, SECOND = sorted(FILMS)[0], sorted(FILMS)[2]
"""The second repeats the first."""
STEPS = 8


class World:
    """A data set, and what was asked of it. `gone`: removed videos; `purged`: those of them that nobody may name."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.store = Store(str(folder / "set"))
        self.gone: set[str] = set()
        self.purged: set[str] = set()
        self.said: set[str] = set()
        """Videos whose sentence was removed."""
        self.n_copies = 0
        self.run()
        if seed % 20 == 0:
            write_report(self.store)

    def run(self) -> None:
        """As a run does: what tombstones cover is not fetched, and not selected."""
        stones = read_tombstones(self.store)
        there = set(self.store.read_table("packs", ["video_id"]).column("video_id").to_pylist())
        made = self.store.committed("media")
        left = [name for name, channel in FILMS.items() if not stones.cover(name, channel)]
        for name in left:
            if name not in self.said and (name not in there or name not in made):  # of these media makes no clip
                toys.commit_video(self.store, name, n_clips=1, channel_id=FILMS[name])
        numbers = {name: [] if name in self.said else [0] for name in left}
        toys.select(self.store, numbers, groups={SECOND: FIRST})
        sweep_shards(self.store, toys.make_shards(self.store, CONFIG))

    def remove(self, *, purge: bool = False) -> None:
        name = self.draw.choice(sorted(FILMS))
        by = self.draw.choice(["video", "channel", "url"])
        asked = {
            "video": Tombstones(frozenset({name})),
            "channel": Tombstones(channels=frozenset({FILMS[name]})),
            "url": Tombstones(frozenset({name})),
        }[by]
        before = set(self.gone)
        done = remove(self.store, asked, purge=purge)
        found = FILMS.keys() & {*done.videos}  # of what was purged before, only the pseudonym is known
        self.gone |= found | {it for it, channel in FILMS.items() if asked.cover(it, channel)}
        if purge:
            self.purged |= found
        assert before <= self.gone

    def purge(self) -> None:
        self.remove(purge=True)

    def unsay(self) -> None:
        """A sentence, with a purge or without."""
        name, purge = self.draw.choice(sorted(FILMS)), self.draw.random() < 0.5
        remove(self.store, Tombstones(texts=frozenset({sentence_of(name)})), purge=purge)
        self.said.add(name)

    def redo(self) -> None:
        redo_from(self.store, self.draw.choice(["media", "shards"]))
        self.run()

    def retry(self) -> None:
        request_retries(self.store, ["silent", "pack_lost"])
        uncommit_requested(self.store, ())
        self.run()

    def merge(self) -> None:
        other = Store(str(self.folder.parent / "other"))
        if not other.exists("manifest.json"):
            toys.a_data_set(other.url, n_videos=1, n_clips=1, prefix="other", config=CONFIG)
        self.check(merge([self.store, other], Store(str(self.copy()))).manifest.root)

    def reshard(self) -> None:
        self.check(reshard(self.store, Store(str(self.copy())), ShardsConfig(max_samples=1, card=toys.NO_CARD)).root)

    def copy(self) -> Path:
        self.n_copies += 1
        return self.folder / f"copy-{self.n_copies}"

    def check(self, url: str) -> None:
        """That a data set verifies and tells nothing of what is gone."""
        assert list(verify(Store(url))) == []
        self.tells_nothing(url)

    def tells_nothing(self, url: str) -> None:
        """That no file names what is gone."""
        for path, text in texts_in(Path(url)):
            place = path.relative_to(url).parts[0]
            words = {sentence_of(name) for name in self.said}
            words |= self.purged if place in (TOMBSTONES, RECORDS) else self.gone
            assert not [word for word in words if word in text], path


def texts_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, all that it says and is called) of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            rows = str(pq.read_table(path).to_pydict()) if path.suffix == ".parquet" else ""
            yield path, f"{path} {rows or path.read_bytes().decode('latin-1')}"


def sentence_of(name: str) -> str:
    """What a video's clip says."""
    return f"sentence 0 of video {name}"


OPS: tuple[Callable[[World], None], ...] = (
    World.run, World.remove, World.purge, World.unsay, World.redo, World.retry, World.merge, World.reshard,
)  # fmt: skip


def walk(folder: Path, seed: int) -> None:
    world = World(folder / str(seed), seed)
    done = []
    for _ in range(STEPS):
        op = world.draw.choice(OPS)
        done.append(op.__name__)
        try:
            op(world)
            world.tells_nothing(world.store.url)
        except Exception as error:
            error.add_note(f"seed {seed}: {' '.join(done)}")
            raise
    world.run()
    world.check(world.store.url)


def test_after_any_sequence_of_eight_what_is_gone_is_gone(tmp_path: Path) -> None:
    walk(tmp_path, 0)


@pytest.mark.long
@pytest.mark.parametrize("first", range(1, 101, 20))
def test_after_any_of_a_hundred_sequences_what_is_gone_is_gone(tmp_path: Path, first: int) -> None:
    for seed in range(first, first + 20):
        walk(tmp_path, seed)
