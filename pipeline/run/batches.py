"""Batches of media: planned from a recorded prefix of what is known, and recorded before they are worked on.

    batches/<k>.json     video_ids: what batch k fetches
                       n_known: when it was planned, the outcomes of the first n_known batches counted,
                       n_rounds: the first n_rounds rounds of the crawl (is_all: the crawl was over by then),
                       n_closed: and the first n_closed generations of shards

Batch 0 is planned when the first round has its verdicts, each further one when as many more candidates have theirs as
a round may have: few at first, then twice as many each time, up to balance.batch_candidates. And all batches up to
k - balance.batches_under_way must be over: so the next is ready when workers run out of the current ones. A video
deferred in the crawl gets its verdict in a later round, and so comes into a later batch. So does one whose film had
changed when it was to be fetched, and that was looked at anew since (`anew`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.membership import Ids
from pipeline.balance.next_batch import MOST_TRIES, Ahead, next_batch
from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import doubled
from pipeline.outdir.retries import times_looked_anew
from pipeline.run.aims import shares_of
from pipeline.run.candidates import Rounds
from pipeline.run.known import BATCHES

if TYPE_CHECKING:
    from pipeline.run.session import Run


@dataclass(slots=True)
class Gathered:
    """How far the crawl is: the rounds that are over with their text, and whether no more are coming for now."""

    n_rounds: int = 0
    n_worked: int = 0
    """Rounds of this run that listed or looked at something."""
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as recorded."""

    number: int
    video_ids: tuple[str, ...]
    n_known: int
    n_rounds: int
    is_all: bool
    n_closed: int

    @property
    def is_end(self) -> bool:
        """Whether it records that nothing was left to try: the batch after it knows everything that came before."""
        return not self.video_ids and self.is_all


@dataclass(slots=True)
class Batches:
    """All batches so far, and which of them are over.

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
    _over: set[int] = field(default_factory=set)
    _left_out: frozenset[tuple[int, str]] = frozenset()
    """Batches, and the videos in them that were looked at anew since: later batches name these again."""

    @classmethod
    def of(cls, run: Run, gathered: Gathered) -> Batches:
        """The recorded batches. Finds at once which of them are over: the line that closes shards may have nothing else
        to wait for.
        """
        names = [name for name in run.store.names(BATCHES) if name.endswith(".json")]
        recorded = [read_batch(run, int(name.removesuffix(".json"))) for name in names]
        batches = cls(run, gathered, Rounds(run.store), recorded, _left_out=_looked_at_anew(run, recorded))
        done = run.store.committed("media")
        batches._over = {batch.number for batch in recorded if done.issuperset(batches.to_make(batch))}
        return batches

    @property
    def n_made(self) -> int:
        """The number of leading batches whose media is made."""
        return next(n for n in range(len(self.batches) + 1) if n not in self._over)

    @property
    def n_over(self) -> int:
        """The number of leading batches that are over: what they repeat is known too, if it is left out."""
        return self.n_compared if drops_repeats(self.run.config) else self.n_made

    def to_make(self, batch: Batch) -> tuple[str, ...]:
        """The videos of a batch that it makes."""
        return tuple(video_id for video_id in batch.video_ids if (batch.number, video_id) not in self._left_out)

    def end(self, batch: Batch) -> None:
        """Records that all units of a batch are committed."""
        self._over.add(batch.number)

    def ids_from(self, number: int) -> frozenset[str]:
        """The videos of the batches from this number on that are in no earlier batch."""
        before = {video_id for batch in self.batches[:number] for video_id in self.to_make(batch)}
        return frozenset(v for batch in self.batches[number:] for v in self.to_make(batch) if v not in before)

    def numbers_of(self, video_ids: pa.Array) -> NDArray[np.int64]:
        """[N] the number of the last batch that names each video, -1 if none does."""
        numbers = np.full(len(video_ids), -1, np.int64)
        for batch in reversed(self.batches):
            left = np.flatnonzero(numbers < 0)
            if not len(left):
                break
            is_here = Ids.of(pa.array(batch.video_ids, pa.string())).holds(video_ids.take(pa.array(left)))
            numbers[left[is_here]] = batch.number
        return numbers

    def next_one(self) -> Batch | None:
        """The next batch to work on; None if it has to be waited for, or if there is none left (`is_over`)."""
        while self.n_begun < len(self.batches) or self._plan_next():
            batch = self.batches[self.n_begun]
            self.n_begun += 1
            if batch.number not in self._over:
                return batch
        return None

    def _plan_next(self) -> bool:
        """Plans the next batch and records it; False if it has to wait, or nothing is left to do."""
        config, number = self.run.config.balance, len(self.batches)
        self.decide()
        is_settled = min(self.n_over, self.n_decided) == number
        if self._tries() >= MOST_TRIES:
            self.is_over = is_settled
            return False
        ends = [batch.number for batch in self.batches if batch.is_end]
        n_known = max(number + 1 - config.batches_under_way, ends[-1] + 1 if ends else 0, 0)
        n_rounds = self.rounds.holding(candidates_for(number, config.batch_candidates))
        is_there = self.gathered.is_over if n_rounds is None else n_rounds <= self.gathered.n_rounds
        if not is_there or min(self.n_over, self.n_decided) < n_known:
            return False
        batch = self._planned(number, n_known, n_rounds)
        if batch.is_end and n_known < number:
            if not is_settled:
                return False
            batch = self._planned(number, number, None)
        if not batch.is_end:
            self._record(batch)
            return True
        if not ends or ends[-1] != number - 1:
            self._record(batch)
        self.is_over = True
        return False

    def _planned(self, number: int, n_known: int, n_rounds: int | None) -> Batch:
        run, is_all = self.run, n_rounds is None
        rounds = self.gathered.n_rounds if n_rounds is None else n_rounds
        candidates = run.plan_from(rounds)
        later = [generation for covered, generation in self.closings.items() if covered > n_known]
        every = run.known.shards.closed.next_generation
        n_closed = min(later, default=every)
        under_way = self.ids_from(n_known)
        config = balance_of(run.config)
        shares = {} if is_all else shares_of(config, {})
        video_ids = next_batch(
            candidates.ranked,
            candidates.outcomes(under_way, n_closed=n_closed),
            config,
            Ahead(tuple(under_way), shares, run.config.crawl.reserve),
            config.batch_videos,
        )
        return Batch(number, tuple(video_ids), n_known, rounds, is_all, n_closed)

    def _tries(self) -> int:
        """How often a run tried to fill what is missing: batches that were not full though everything was known."""
        full = self.run.config.balance.batch_videos
        return sum(batch.is_all and 0 < len(batch.video_ids) < full for batch in self.batches)

    def _record(self, batch: Batch) -> None:
        self.run.lock.check()
        facts = {name: value for name, value in asdict(batch).items() if name != "number"}
        self.run.store.write_json(f"{BATCHES}/{batch.number:05d}.json", facts)
        self.batches.append(batch)


def _looked_at_anew(run: Run, batches: list[Batch]) -> frozenset[tuple[int, str]]:
    """Batches, and the videos in them that were looked at anew: each time, the first batch that still had it."""
    times = times_looked_anew(run.store)
    left_out = set()
    for batch in batches if times else ():
        for video_id in batch.video_ids:
            if times[video_id] > 0:
                times[video_id] -= 1
                left_out.add((batch.number, video_id))
    return frozenset(left_out)


def candidates_for(number: int, most: int) -> int:
    """How many candidates need a verdict before the batch of this number is planned; `most`: between two batches."""
    return 1 + sum(min(most, doubled(n)) for n in range(number))


def drops_repeats(config: RunConfig) -> bool:
    """Whether clips and videos that show what others show are left out."""
    return config.media.duplicates.action == "drop"


def read_batch(run: Run, number: int) -> Batch:
    """Reads the record of the batch with this number."""
    facts = run.store.read_json(f"{BATCHES}/{number:05d}.json")
    return Batch(**{**facts, "number": number, "video_ids": tuple(facts["video_ids"])})
