"""What fetches cost that go on where a look ended, on a virtual clock: how many come soon enough, and the turns that a
fetched video takes with and without.

    python -m bench.fresh_looks [--videos 1200] [--identities 1 5 25]

The real rounds and batches (bench/rehearsal.py) over a world with the paper's yield, asked at the identities' default
rate. A look's addresses are counted as pipeline/site/fresh_looks.py does.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.rehearsal import Rehearsal, config_of
from bench.world.accounts import Accounts
from bench.world.distribution import read_distribution
from bench.world.videos import World
from bench.world.work import Work
from hdvila_testing.requests import count_requests
from pipeline.config.crawl import IdentityConfig
from pipeline.engine.run import clock
from pipeline.engine.work.unit import Unit
from pipeline.site.fresh_looks import MAX_AGE_S, SPARE_S

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
    """Prints a line for each number of identities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1200)
    parser.add_argument("--identities", type=int, nargs="+", default=[1, 5, 25])
    given = parser.parse_args()
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


if __name__ == "__main__":
    main()
