"""What a plan of media or shards may know: the first candidates in recorded order, and the outcome of some batches.

A plan made ahead of work under way uses no more than this, however much is there by then: so a slow crawl, a fast crawl
and a killed run all get the same plan.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.columns import table_in_a_file
from manifests.origin import same_origin
from manifests.reasons import Reason
from pipeline.balance.ranking import Ranked, rank_candidates
from pipeline.balance.standing import REJECTED_VIDEOS, Duplicates, Outcomes
from pipeline.config import RunConfig
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.outdir.due import write_due
from pipeline.run.candidate_rows import covered
from pipeline.run.known import Known
from pipeline.site.optout import load_opt_outs

log = logging.getLogger("hdvila")


class Rounds:
    """How many candidates the rounds of the crawl hold: each part is read once."""

    def __init__(self, store: Store) -> None:
        self._new = Follower(store, "candidates", ["round"])
        self._counts = np.zeros(0, np.int64)

    def holding(self, n_candidates: int) -> int | None:
        """How many rounds hold the first `n_candidates`; None if all rounds together hold fewer."""
        for rows in self._new.new():
            counts = np.bincount(rows.column("round").to_numpy())
            size = max(len(counts), len(self._counts))
            self._counts = np.pad(self._counts, (0, size - len(self._counts))) + np.pad(counts, (0, size - len(counts)))
        if self._counts.sum() < n_candidates:
            return None
        return int(np.searchsorted(np.cumsum(self._counts), n_candidates)) + 1


@dataclass(frozen=True, slots=True)
class Candidates:
    """What media does not change: the ranks, and which candidates are known to be duplicates or must stay out."""

    config: RunConfig
    known: Known
    ranked: Ranked
    same_origins: dict[str, str]
    repeated_texts: dict[str, str]
    opted_out: tuple[str, ...]

    @classmethod
    def read(cls, known: Known, config: RunConfig, n_rounds: int | None = None) -> "Candidates":
        """Reads the first rounds of the crawl and all other sources; `n_rounds` None: everything."""
        known.update()
        videos = known.rows.videos()
        if n_rounds is not None:  # rows of other sources count as the first round
            videos = table_in_a_file(videos.filter(pc.less(videos.column("round"), max(1, n_rounds))).combine_chunks())
        opted_out = covered(load_opt_outs(config.crawl.opt_out, known.store), videos)
        return cls(
            config,
            known,
            rank_candidates(known.rows.candidates(videos), config.seed),
            same_origin(videos),
            known.repeated_texts(videos),
            tuple(opted_out),
        )

    def outcomes(
        self, but: Collection[str] = (), *, n_closed: int | None = None, not_compared: Collection[str] = ()
    ) -> Outcomes:
        """The outcomes of the candidates so far.

        `but`: videos treated as if they had no outcome yet. `n_closed`: only the clips in shards of the first
        `n_closed` generations count as kept. `not_compared`: more videos of which nothing is said to repeat another.
        """
        away = pa.array(sorted(but), pa.string())
        # first: it takes the most memory while it is made
        duplicates = self._duplicates(pa.array(sorted({*but, *not_compared}), pa.string()))
        outcomes = self.known.outcomes(self.ranked, _opted_out(self.opted_out), away, n_closed)
        return replace(outcomes, duplicates=duplicates)

    def _duplicates(self, away: pa.Array) -> Duplicates:
        duplicates: dict[Reason, dict[str, str]] = {Reason.DUPLICATE_TEXT: self.repeated_texts}
        config = self.config.media.duplicates
        if config.action == "drop":
            duplicates |= self.known.repeated_pictures(away)
        duplicates[Reason.DUPLICATE_VIDEO] = duplicates.get(Reason.DUPLICATE_VIDEO, {}) | self.same_origins
        return duplicates


def _opted_out(video_ids: tuple[str, ...]) -> pa.Table:
    reasons = [Reason.OPTED_OUT.value] * len(video_ids)
    return pa.table([pa.array(video_ids, pa.string()), pa.array(reasons, pa.string())], schema=REJECTED_VIDEOS)


def note_due(store: Store, candidates: Candidates) -> None:
    """Notes what is in finished shards though it is opted out, and says so."""
    ids = pa.array(candidates.opted_out, pa.string())
    here = set(candidates.known.shards.places.of(ids).column("video_id").to_pylist()) if len(ids) else set()
    due = write_due(store, here & set(candidates.opted_out))
    for line in due.lines():
        log.warning("%s", line)
