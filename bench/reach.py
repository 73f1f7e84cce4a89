"""How far a crawl's sources reach in an imagined category, with and without searches grown from kept videos.

    python -m bench.reach [--videos 220000] [--without]

The category is a fifteenth of HD-VILA-100M's 3.3 M videos, with five times as many candidates on the site as the crawl
needs. The rounds, the ledger and the searches are the crawl's own; the site is imagined. Of a video it is assumed that
it is about three of SUBJECTS subjects, of which the most popular are the built-in queries: the first is its channel's
in seven cases of ten; subjects are as popular as words are (Zipf). A search gives the 600 most popular videos about a
subject, whichever other search gave them before. In two channels of five, half of the videos can be kept, in the
others few (captions and language are a channel's), so that 23.6 % are.

A blind crawl knows nothing and looks at videos at random: it takes 4.24 looks for one that is kept.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.world import rows
from bench.world.distribution import read_distribution
from bench.world.videos import RESERVE, World, hashes_of
from manifests.hashing import UInt64
from manifests.schema import TABLES
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.grown import read_grown
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import RoundPlan, Wanted
from pipeline.crawl.rounds import rounds
from pipeline.crawl.sources import GROWN, Ask
from pipeline.engine.store.store import Store

N_CATEGORIES = 15
CATEGORY = 1
SUBJECTS, A_VIDEO = 5_000, 3
OF_ITS_CHANNEL = 0.7
QUERIES = tuple(f"subject{n} matter" for n in range(7))
GOOD_CHANNELS, GOOD, OTHERS = 0.4, 0.5, 0.0596
"""The share of channels of which GOOD of the videos can be kept, and not OTHERS: 23.6 % of all."""
CHUNK = 500_000


@dataclass(frozen=True)
class Site:
    """The imagined site: what its videos are about, and what a search finds."""

    world: World

    def subjects(self, hashes: UInt64) -> NDArray[np.int64]:
        """[N, 3] what videos are about."""
        channels = self.channels(hashes).astype(np.uint64)
        draws = [self.world.draw(hashes, f"subject {n}") for n in range(A_VIDEO)]
        is_own = self.world.draw(hashes, "of its channel") < OF_ITS_CHANNEL
        draws[0] = np.where(is_own, self.world.draw(channels, "subject"), draws[0])
        popular = np.cumsum(1 / np.arange(1, SUBJECTS + 1))
        return np.stack([np.searchsorted(popular, draw * popular[-1]) for draw in draws], axis=1)

    def channels(self, hashes: UInt64) -> NDArray[np.int64]:
        """[N] the channel of each video."""
        return self.world.videos(hashes).channel

    @cached_property
    def _found(self) -> list[UInt64]:
        """For each subject the videos that a search gives, the most popular first."""
        most = self.world.distribution.results_a_query
        found: list[UInt64] = [np.zeros(0, np.uint64)] * SUBJECTS
        for first in range(0, int(self.world.channel_sizes.sum()), CHUNK):
            hashes = self.world.some(first, CHUNK)
            subjects = self.subjects(hashes)
            for n in range(A_VIDEO):
                order = np.argsort(subjects[:, n], kind="stable")
                ends = np.searchsorted(subjects[order, n], np.arange(SUBJECTS + 1))
                for k in range(SUBJECTS):
                    both = np.unique(np.append(found[k], hashes[order[ends[k] : ends[k + 1]]]))
                    found[k] = both[np.argsort(self.world.draw(both, "popular"))[:most]]
        return found

    def search(self, words: str) -> UInt64:
        """What a search gives."""
        return self._found[int(words.split()[0].removeprefix("subject"))]

    def can_be_kept(self, hashes: UInt64) -> NDArray[np.bool_]:
        """[N] whether each video is kept when it is looked at."""
        is_good = self.world.draw(self.channels(hashes).astype(np.uint64), "good") < GOOD_CHANNELS
        return np.asarray(self.world.draw(hashes, "kept") < np.where(is_good, GOOD, OTHERS))


@dataclass(slots=True)
class Crawl:
    """A crawl of the site, without anybody who asks."""

    site: Site
    store: Store
    n_looks: int = 0
    n_kept: int = 0

    def run(self, n_videos: int, *, grows: bool) -> None:
        """Rounds until there are so many videos and the reserve, or nothing more can be asked."""
        config = CrawlConfig(categories=(CATEGORY,), queries={CATEGORY: QUERIES}, grow_from_words=grows)
        ledger = CrawlLedger(self.store, "videos")
        for plan in rounds(config, self.store, Wanted({CATEGORY: n_videos}, "videos"), ledger):
            self._list(plan)
            ledger.update()
            self._look(plan, ledger)

    def _list(self, plan: RoundPlan) -> None:
        found = [rows.listings(self.site.world, self._results(ask), ask, plan.round) for ask in plan.asks]
        if found:
            self._commit("list", plan, {name: pa.concat_tables([one[name] for one in found]) for name in found[0]})

    def _results(self, ask: Ask) -> UInt64:
        if ask.source == "channel":
            return self.site.world.of_channel(ask.query, ask.up_to)
        words = read_grown(self.store)[ask.query].words if ask.source == GROWN else ask.query
        return self.site.search(words)[: ask.up_to]

    def _look(self, plan: RoundPlan, ledger: CrawlLedger) -> None:
        chosen = pa.Table.from_pylist([*ledger.choose(plan)], TABLES["listings"])
        if not chosen.num_rows:
            return
        same = {name: chosen.column(name) for name in ("video_id", "source", "query", "wanted_category_id", "round")}
        columns = {name: column.combine_chunks() for name, column in same.items()}
        candidates = rows.filled(TABLES["candidates"], chosen.num_rows, columns | {"attempt": 1, "asked": True})
        self._commit("choose", plan, {"candidates": candidates})
        hashes = hashes_of(chosen.column("video_id").to_pylist())
        is_kept = self.site.can_be_kept(hashes)
        kept = self.site.world.videos(hashes[is_kept])
        self.n_looks += len(hashes)
        self.n_kept += len(kept)
        if len(kept):
            videos = rows.videos(kept, plan.round)
            for name in ("source", "query"):
                videos = _with(videos, name, columns[name].filter(pa.array(is_kept)))
            words = [[f"subject{k} matter" for k in of_one] for of_one in self.site.subjects(kept.hashes).tolist()]
            videos = _with(videos, "title", pa.array([one[0] for one in words]))
            self._commit("extract", plan, {"videos": _with(videos, "about", pa.array([one[1:] for one in words]))})
            clip = {"clip_id": kept.ids, "video_id": kept.ids, "category_id": CATEGORY, "end_ms": 10_000}
            self._commit("clips", plan, {"clips": rows.filled(TABLES["clips"], len(kept), clip)})

    def _commit(self, stage: str, plan: RoundPlan, tables: dict[str, pa.Table]) -> None:
        unit = f"{plan.round:05d}"
        parts = {name: self.store.write_part(name, stage, unit, table, "t") for name, table in tables.items()}
        n_rows = {name: table.num_rows for name, table in tables.items()}
        self.store.commit_all(stage, {unit: {"rows": n_rows, "rejects": {}, "parts": parts}})


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), column.cast(table.schema.field(at).type))


def main() -> None:
    """Runs the crawl without grown searches and with them, and prints how far each came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=3_300_000 // N_CATEGORIES, help="wanted of the category")
    parser.add_argument("--without", action="store_true", help="only without grown searches")
    given = parser.parse_args()
    world = World(replace(read_distribution("paper"), largest_category=1.0, largest_channel=2_000), given.videos)
    site = Site(world)
    for grows in (False,) if given.without else (False, True):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            crawl = Crawl(site, Store(folder))
            crawl.run(given.videos, grows=grows)
            for line in lines(crawl, given.videos, grows=grows, cpu_s=time.process_time() - began):
                print(line, flush=True)


def lines(crawl: Crawl, n_wanted: int, *, grows: bool, cpu_s: float) -> Sequence[str]:
    """How far a crawl came."""
    sources = crawl.store.read_table("sources", ["source", "query"])
    n_lists = {name: len({*_queries(sources, name)}) for name in ("search", "channel", GROWN)}
    n_rounds = len(crawl.store.names("rounds")) - sum(name.find(".") < 0 for name in crawl.store.names("rounds"))
    blind = crawl.n_kept / crawl.site.world.distribution.kept
    return (
        f"{'with' if grows else 'without'} grown searches: {crawl.n_kept:,} videos kept of {n_wanted:,} wanted "
        f"and a reserve of {RESERVE - 1:.0%} ({crawl.n_kept * N_CATEGORIES / 1e6:.2f} M in fifteen such categories)",
        f"  {crawl.n_looks:,} looks, {crawl.n_looks / max(1, crawl.n_kept):.2f} for one that is kept, "
        f"{crawl.n_looks / blind - 1:+.0%} of a blind crawl's; {n_rounds} rounds, {cpu_s:.0f} CPU s",
        "  lists: " + ", ".join(f"{name} {n:,}" for name, n in n_lists.items()),
    )


def _queries(sources: pa.Table, name: str) -> list[str]:
    return [row["query"] for row in sources.to_pylist() if row["source"] == name]


if __name__ == "__main__":
    main()
