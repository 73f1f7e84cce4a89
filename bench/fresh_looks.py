"""What fetches cost that go on where a look ended: how many come soon enough, by a virtual clock, and what each kept
video costs a mini-YouTube with and without, by real requests.

    python -m bench.fresh_looks [--videos 1200] [--identities 1 5 25]
    python -m bench.fresh_looks --served 130

By the clock: the real rounds and batches (bench/rehearsal.py) over a world with the paper's yield, asked at the
identities' default rate. Served: the world of bench/data_api.py, and a list of good videos half as long; each video is
looked at, then fetched at once, where the look's addresses are kept or not. The media must be the same.
"""

import argparse
import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from bench.data_api import UNWANTED, a_world, config_for, crawl_stages
from bench.rehearsal import Rehearsal, config_of
from bench.world.accounts import Accounts
from bench.world.distribution import read_distribution
from bench.world.videos import World
from bench.world.work import Work
from hdvila_testing.requests import count_requests
from manifests.categories import load_categories
from manifests.lock import RunLock
from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import IdentityConfig
from pipeline.engine.run import clock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Context, Unit
from pipeline.site import fresh_looks
from pipeline.site.fetch import Fetcher
from pipeline.site.fresh_looks import MAX_AGE_S, SPARE_S
from pipeline.site.politeness import BuildPoliteness

N_WORKERS = 16


@dataclass(slots=True)
class TimedWork(Work):
    """Work that notes when each video was looked at, and how long after that its fetch began."""

    looked_at: dict[str, float] = field(default_factory=dict)
    ages_s: list[float] = field(default_factory=list)

    def seconds(self, stage: str, unit: Unit) -> float:
        """See Work: called as a unit begins."""
        if stage == "extract":
            each_s = self.seconds_a_candidate
            self.looked_at |= {video_id: clock.now() + each_s * (n + 1) for n, video_id in enumerate(unit.ids)}
        if stage == "media":
            self.ages_s.append(clock.now() - self.looked_at[unit.name])
        return Work.seconds(self, stage, unit)


def main() -> None:
    """Prints a line for each number of identities, or for each served world with and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1200)
    parser.add_argument("--identities", type=int, nargs="+", default=[1, 5, 25])
    parser.add_argument("--served", type=int, default=0, help="candidates of the mini-YouTube")
    given = parser.parse_args()
    if given.served:
        for text in served_lines(given.served):
            print(text, flush=True)
        return
    print(f"{'identities':>10} {'looks':>8} {'fetches':>8} {'fresh':>7} {'turns a fetch, before':>22} {'now':>6}")
    for n in given.identities:
        n_looks, ages_s = rehearsed(given.videos, n)
        print(line(n, n_looks, ages_s))


def rehearsed(n_videos: int, n_identities: int) -> tuple[int, Sequence[float]]:
    """The number of looks of a run, and the age of each fetch's look in seconds."""
    world = World(read_distribution("paper"), n_videos, 0)
    in_flight = max(4, 2 * n_identities)
    a_candidate_s = 3600 / (n_identities * IdentityConfig(name="one").videos_per_hour) * in_flight
    with tempfile.TemporaryDirectory() as folder, count_requests() as requests:
        accounts = Accounts(requests, sum(world.distribution.latency_s) / 2, False)
        work = TimedWork(world, Path(folder) / "scratch", a_candidate_s)
        config = config_of(world, Path(folder) / "out", identities=n_identities)
        Rehearsal(world, config, N_WORKERS, accounts, work).run()
        return len(work.looked_at), work.ages_s


def line(n_identities: int, n_looks: int, ages_s: Sequence[float]) -> str:
    """A line of the table."""
    n_fresh = sum(age <= MAX_AGE_S - SPARE_S for age in ages_s)
    before, now = (n_looks + len(ages_s)) / len(ages_s), (n_looks + len(ages_s) - n_fresh) / len(ages_s)
    shares = f"{n_fresh / len(ages_s):>7.1%} {before:>22.2f} {now:>6.2f} {now / before - 1:>6.1%}"
    return f"{n_identities:>10} {n_looks:>8,} {len(ages_s):>8,} {shares}"


@dataclass(frozen=True, slots=True)
class Served:
    """Looks and fetches as the site saw them. `media`: a hash of all that was fetched."""

    n_kept: int
    n_turns: int
    requests: Counter[str]
    media_bytes: int
    media: str


def served_lines(n_candidates: int) -> Iterator[str]:
    """Both worlds, per kept video."""
    ids = [category.id for category in load_categories() if category.id != UNWANTED]
    good = tuple(a_video(0, (ids[n % len(ids)], n), 8) for n in range(n_candidates // 2))
    good_ids = Catalogue(tuple(sorted(good, key=lambda video: video.video_id)))
    kinds = ("watch", "player", "captions", "media")
    yield f"{'':16}{'kept':>6}{'turns':>8}{'requests':>10}" + "".join(f"{kind:>10}" for kind in kinds) + "  scripts"
    for name, catalogue in (("crawl", a_world(n_candidates)), ("good ids", good_ids)):
        seen = []
        for how, age_s in (("before", 0.0), ("now", MAX_AGE_S)):
            with mock.patch.object(fresh_looks, "MAX_AGE_S", age_s), tempfile.TemporaryDirectory() as folder:
                one = served(catalogue, Path(folder))
            seen.append(one)
            each = [one.n_turns, sum(one.requests.values()), *(one.requests[kind] for kind in kinds)]
            numbers = "".join(f"{n / one.n_kept:>{width}.2f}" for n, width in zip(each, (8, *[10] * 5), strict=True))
            yield f"{name + ' ' + how:16}{one.n_kept:>6}{numbers}{one.requests['script']:>9}"
        before, now = seen
        assert (before.media, before.media_bytes) == (now.media, now.media_bytes)
        yield f"turns {now.n_turns / before.n_turns * before.n_kept / now.n_kept - 1:+.1%}"


def served(catalogue: Catalogue, folder: Path) -> Served:
    """Looks at a list of all videos, then fetches what was kept, as one identity in one process."""
    (folder / "ids.txt").write_text("\n".join(video.video_id for video in catalogue.videos))
    with MiniYouTube(catalogue) as site:
        site.misbehave(Fault("watch", "challenge"))  # so that the player's script is needed
        config, store = config_for(site, folder, has_key=False), Store(str(folder / "out"))
        executor = LocalExecutor(folder / "scratch")
        polite = executor.share("politeness", BuildPoliteness(config, store))
        with RunLock(store) as lock:
            for stage in crawl_stages(config, store, polite):
                run_stage(stage, store, executor, lock)
        rows, media = store.read_table("videos").sort_by("video_id").to_pylist(), hashlib.sha256()
        for row in rows:
            scratch = folder / "fetched" / row["video_id"]
            scratch.mkdir(parents=True)
            media.update(Fetcher(config, polite)(row, Context(store, scratch, time.monotonic() + 600)).read_bytes())
        n_turns = sum(identity["videos"] for identity in polite.snapshot()["identities"])
        requests = Counter(request.kind for request in site.log)
        n_bytes = sum(request.bytes_sent for request in site.log.of("media"))
    return Served(len(rows), n_turns, requests, n_bytes, media.hexdigest())


if __name__ == "__main__":
    main()
