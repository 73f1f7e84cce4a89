"""Batches of media: planned from a recorded part of what is known, and recorded before they are worked on.

    batches/<k>.json     video_ids: what batch k fetches
                          long: of those that last much longer than the others, how many times as many batches may be
                                planned without their outcome
                       n_known: when it was planned, all outcomes of the first n_known batches counted, and
                                of later ones those that had to be known by then (below),
                      n_rounds: the first n_rounds rounds of the crawl (is_all: the crawl was over by then),
                      n_closed: and the first n_closed generations of shards
                  n_candidates: it was planned once so many candidates had their verdicts

Batch 0 is planned when the first round has its verdicts, each further one when as many more candidates have theirs as a
round may have at the pace of all identities: few at first, then more each time, up to balance.batch_candidates. And all
batches up to k - balance.batches_under_way must be over, but for their long videos: of one that is up to LONG times as
long, those up to k - LONG * balance.batches_under_way, and so on. So the next batch is ready when workers run out of
the current ones, even where one worker in a hundred takes hours for a video; and what is planned depends on no one's
speed. A video deferred in the crawl gets its verdict in a later round, and so comes into a later batch. So does one
whose film had changed when it was to be fetched, and that was looked at anew since (`anew`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.membership import Ids
from pipeline.balance.next_batch import MOST_TRIES, Ahead, next_batch
from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import looks_an_hour, most_candidates
from pipeline.outdir.retries import times_looked_anew
from pipeline.run.aims import shares_of
from pipeline.run.candidates import Rounds
from pipeline.run.known import BATCHES

if TYPE_CHECKING:
    from pipeline.run.session import Run

LONG = 4
"""Videos longer than so many times their batch's mean are waited for LONG times as long; beyond LONG times that, again
LONG times. With 500 and 2,000 workers, of which one in a hundred takes eight times as long, batches_under_way of 4 and
16 keep all of them busy (docs/decisions.md).
"""


@dataclass(slots=True)
class Gathered:
    """How far the crawl is: the rounds that are over with their text, and whether no more are coming for now."""

    n_rounds: int = 0
    n_worked: int = 0
    """Rounds of this run that listed or looked at something."""
    is_over: bool = False


Group = tuple[int, int]
"""Videos that are waited for together: the number of their batch, and how many times as long as most."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as recorded."""

    number: int
    video_ids: pa.Array
    long: Mapping[str, int]
    n_known: int
    n_rounds: int
    is_all: bool
    n_closed: int
    n_candidates: int

    @property
    def is_end(self) -> bool:
        """Whether it records that nothing was left to try: the batch after it knows everything that came before."""
        return not len(self.video_ids) and self.is_all

    def groups(self) -> list[Group]:
        """Its groups, the longest videos first."""
        return [(self.number, times) for times in sorted({1, *self.long.values()}, reverse=True)]


@dataclass(slots=True)
class Batches:
    """All batches so far, and which of their groups are over.

    `n_decided`: for this many batches it is known which shards are full, and these are closed; `decide` continues from
    there. `closings`: by number of batches covered, the number of the generation closed then.
    """

    run: Run
    gathered: Gathered
    rounds: Rounds
    batches: list[Batch] = field(default_factory=list)
    n_begun: int = 0
    n_decided: int = 0
    closings: dict[int, int] = field(default_factory=dict)
    decide: Callable[[], object] = lambda: None
    is_over: bool = False
    n_compared: int = 0
    """The pictures of so many batches are compared with those of all before them."""
    _over: set[Group] = field(default_factory=set)
    _left_out: frozenset[tuple[int, str]] = frozenset()
    """Batches, and the videos in them that were looked at anew since: later batches name these again."""

    @classmethod
    def of(cls, run: Run, gathered: Gathered) -> Batches:
        """The recorded batches. Finds at once what of them is over: the line that closes shards may have nothing else
        to wait for.
        """
        names = [name for name in run.store.names(BATCHES) if name.endswith(".json")]
        recorded = [read_batch(run, int(name.removesuffix(".json"))) for name in names]
        batches = cls(run, gathered, Rounds(run.store), recorded, _left_out=_looked_at_anew(run, recorded))
        done = run.store.committed("media")
        groups = (group for batch in recorded for group in batch.groups())
        batches._over = {group for group in groups if done.issuperset(batches.ids_of(group))}
        return batches

    @property
    def n_made(self) -> int:
        """The number of leading batches whose media is made."""
        return self._n_leading(self._over)

    @property
    def n_over(self) -> int:
        """The number of leading batches that are over: what they repeat is known too, if it is left out."""
        return self.n_compared if drops_repeats(self.run.config) else self.n_made

    def _n_leading(self, groups: Collection[Group]) -> int:
        """The number of leading batches of which all groups are among these."""
        others = (batch.number for batch in self.batches if any(group not in groups for group in batch.groups()))
        return next(others, len(self.batches))

    def left_of(self, batch: Batch) -> list[Group]:
        """The groups of a batch that are not over, the longest videos first."""
        return [group for group in batch.groups() if group not in self._over]

    def ids_of(self, group: Group) -> list[str]:
        """The videos of a group that its batch makes."""
        number, times = group
        batch = self.batches[number]
        ids = (video_id for video_id in batch.video_ids.to_pylist() if batch.long.get(video_id, 1) == times)
        return [video_id for video_id in ids if (number, video_id) not in self._left_out]

    def end(self, group: Group) -> None:
        """Records that all units of a group are committed."""
        self._over.add(group)

    def ids_from(self, number: int) -> frozenset[str]:
        """The videos of the batches from this number on that are in no earlier batch."""
        return self._ids_but({group for batch in self.batches[:number] for group in batch.groups()})

    def _ids_but(self, known: Collection[Group]) -> frozenset[str]:
        """The videos that are in none of these groups."""
        others: list[str] = []
        tried = [pa.array([], pa.string())]
        for batch in self.batches:
            for group in batch.groups():
                if group not in known:
                    others += self.ids_of(group)
                elif batch.long or self._left_out:
                    tried.append(pa.array(self.ids_of(group), pa.string()))
                else:
                    tried.append(batch.video_ids)
        before = pa.chunked_array(tried)
        is_again = Ids.of(pa.array(others, pa.string())).holds(before)
        return frozenset(others).difference(before.filter(pa.array(is_again)).to_pylist())

    def numbers_of(self, video_ids: pa.Array) -> NDArray[np.int64]:
        """[N] the number of the last batch that names each video, -1 if none does."""
        numbers = np.full(len(video_ids), -1, np.int64)
        for batch in reversed(self.batches):
            left = np.flatnonzero(numbers < 0)
            if not len(left):
                break
            is_here = Ids.of(batch.video_ids).holds(video_ids.take(pa.array(left)))
            numbers[left[is_here]] = batch.number
        return numbers

    def next_one(self) -> Batch | None:
        """The next batch to work on; None if it has to be waited for, or if there is none left (`is_over`)."""
        while self.n_begun < len(self.batches) or self._plan_next():
            batch = self.batches[self.n_begun]
            self.n_begun += 1
            if self.left_of(batch):
                return batch
        return None

    def _plan_next(self) -> bool:
        """Plans the next batch and records it; False if it has to wait, or nothing is left to do."""
        number = len(self.batches)
        self.decide()
        is_settled = min(self.n_over, self.n_decided) == number
        if self._tries() >= MOST_TRIES:
            self.is_over = is_settled
            return False
        ends = [batch.number for batch in self.batches if batch.is_end]
        known = self._known_at(number, ends[-1] if ends else -1)
        n_rounds = self.rounds.holding(self._n_candidates())
        is_there = self.gathered.is_over if n_rounds is None else n_rounds <= self.gathered.n_rounds
        if not (is_there and known <= self._over and min(self.n_over, self.n_decided) >= self._n_leading(known)):
            return False
        batch = self._planned(number, known, n_rounds)
        if batch.is_end and batch.n_known < number:
            if not is_settled:
                return False
            batch = self._planned(number, self._known_at(number, number), None)
        if not batch.is_end:
            self._record(batch)
            return True
        if not ends or ends[-1] != number - 1:
            self._record(batch)
        self.is_over = True
        return False

    def _n_candidates(self) -> int:
        """How many candidates need a verdict before the next batch is planned: as many more than for the last one as a
        round has, which depends on the identities that there are now.
        """
        if not self.batches:
            return 1
        most = most_candidates(len(self.batches) - 1, looks_an_hour(self.run.config.crawl))
        return self.batches[-1].n_candidates + min(self.run.config.balance.batch_candidates, most)

    def _known_at(self, number: int, end: int) -> set[Group]:
        """The groups whose outcomes count in the plan of a batch; all up to batch `end`."""
        lag = self.run.config.balance.batches_under_way
        groups = (group for batch in self.batches for group in batch.groups())
        return {(of, times) for of, times in groups if of <= end or of + times * lag <= number}

    def _planned(self, number: int, known: Collection[Group], n_rounds: int | None) -> Batch:
        run, is_all, n_known = self.run, n_rounds is None, self._n_leading(known)
        rounds = self.gathered.n_rounds if n_rounds is None else n_rounds
        candidates = run.plan_from(rounds)
        later = [generation for covered, generation in self.closings.items() if covered > n_known]
        every = run.known.shards.closed.next_generation
        n_closed = min(later, default=every)
        under_way = self._ids_but(known)
        config = balance_of(run.config)
        shares = {} if is_all else shares_of(config, {})
        video_ids = next_batch(
            candidates.ranked,
            candidates.outcomes(under_way, n_closed=n_closed, not_compared=self.ids_from(n_known)),
            config,
            Ahead(tuple(under_way), shares, run.config.crawl.reserve),
            config.batch_videos,
        )
        long = _long_among(run.known.rows.videos(), video_ids)
        ids, least = pa.array(video_ids, pa.string()), self._n_candidates()
        return Batch(number, ids, long, n_known, rounds, is_all, n_closed, least)

    def _tries(self) -> int:
        """How often a run tried to fill what is missing: batches that were not full though everything was known."""
        full = self.run.config.balance.batch_videos
        return sum(batch.is_all and 0 < len(batch.video_ids) < full for batch in self.batches)

    def _record(self, batch: Batch) -> None:
        self.run.lock.check()
        facts = {
            name: getattr(batch, name) for name in ("long", "n_known", "n_rounds", "is_all", "n_closed", "n_candidates")
        }
        facts["video_ids"] = batch.video_ids.to_pylist()
        self.run.store.write_json(f"{BATCHES}/{batch.number:05d}.json", facts)
        self.batches.append(batch)


def _looked_at_anew(run: Run, batches: list[Batch]) -> frozenset[tuple[int, str]]:
    """Batches, and the videos in them that were looked at anew: each time, the first batch that still had it."""
    times = times_looked_anew(run.store)
    left_out = set()
    for batch in batches if times else ():
        for video_id in batch.video_ids.to_pylist():
            if times[video_id] > 0:
                times[video_id] -= 1
                left_out.add((batch.number, video_id))
    return frozenset(left_out)


def _long_among(videos: pa.Table, video_ids: Sequence[str]) -> dict[str, int]:
    """{id: how many times as long it is waited for} of those videos that are long; videos of unknown length are not."""
    ids = Ids.of(pa.array(video_ids, pa.string()))
    row = ids.rows(videos.column("video_id"))
    length_s = np.zeros(len(ids))
    length_s[row[row >= 0]] = pc.fill_null(videos.column("duration_s"), 0).to_numpy()[row >= 0]
    of_mean = length_s / max(1.0, float(np.sum(length_s)) / max(1, len(ids)))
    longest = np.flatnonzero(of_mean > LONG).tolist()
    return {video_ids[i]: LONG ** math.ceil(math.log(of_mean[i], LONG) - 1) for i in longest}


def drops_repeats(config: RunConfig) -> bool:
    """Whether clips and videos that show what others show are left out."""
    return config.media.duplicates.action == "drop"


def read_batch(run: Run, number: int) -> Batch:
    """Reads the record of the batch with this number."""
    facts = run.store.read_json(f"{BATCHES}/{number:05d}.json")
    return Batch(**{**facts, "number": number, "video_ids": pa.array(facts["video_ids"], pa.string())})
