"""The accounts of an output directory: finds and names what should be there and is missing.

There are two checks. Each commit tells how many rows and rejects its unit made, and in which tables: that reveals
missing parts. And each video that passed a stage needs a row or a reject of the next. The result is then compared
with the funnel's sum, candidates = kept + rejected + missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from manifests.funnel import FunnelCounts
from manifests.schema import WIDE
from manifests.stages import ENDS, STAGES, rank_of
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.query.funnel import FUNNEL, funnel_of, missing_of
from pipeline.query.streams import stream_tables


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that should be there and is not. `what` names a file or a video."""

    stage: str
    what: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """What is missing, and whether the funnel's sums add up."""

    gaps: tuple[Gap, ...]
    wrong_sums: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing and every candidate is accounted for exactly once."""
        return not self.gaps and not self.wrong_sums

    def lines(self, most: int = 20) -> list[str]:
        """Lines to display: each gap by name, `most` of them, and what to do."""
        if self.is_whole:
            return []
        named = [f"missing: {gap.stage}: {gap.what}" for gap in self.gaps[:most]]
        more = [f"and {len(self.gaps) - most} more"] if len(self.gaps) > most else []
        first = min((gap.stage for gap in self.gaps), key=rank_of, default=ENDS[0])
        return [*named, *more, *self.wrong_sums, f"run with --redo {first} to make what is missing again"]


WHOLE = Accounts((), ())


def check_accounts(store: Store) -> Accounts:
    """Checks every commit and every table. Meaningful only once a run has made its selection."""
    with stream_tables(store, *FUNNEL) as tables:
        videos = [Gap(stage, f"video {i}") for stage, ids in missing_of(tables).items() for i in ids]
        wrong_sums = tuple(_wrong_sums(funnel_of(tables)))
    return Accounts((*unit_gaps(store), *videos), wrong_sums)


LOOKS = 3
"""How often an apparent gap is looked for again: units may be committed and merged during the check."""


def unit_gaps(store: Store) -> Iterator[Gap]:
    """Yields the parts that commits promise and that are gone. Works beside a run: reports what every look finds
    missing.
    """
    gaps = list(_gaps_now(store))
    for _ in range(LOOKS - 1):
        if not gaps:
            return
        still = set(_gaps_now(store))
        gaps = [gap for gap in gaps if gap in still]
    yield from gaps


def _gaps_now(store: Store) -> Iterator[Gap]:
    present = {table: set(store.names(table)) for stage in STAGES.values() for table in stage.makes}
    for stage in store.stages():
        present[f"rejects/{stage}"] = set(store.names(f"rejects/{stage}"))
        for unit, facts in sorted(store.loose_commit_facts(stage), key=lambda pair: pair[0]):
            yield from _gaps_of_unit(stage, unit, facts, present)
    yield from _segment_gaps(store)


def _segment_gaps(store: Store) -> Iterator[Gap]:
    """Yields the files of segments that the head promises and that are missing."""
    for segment in read_head(store)[0].segments:
        present = set(store.names(segment.folder))
        for table, n_rows in segment.rows.items():
            paths = [segment.path(table), *([segment.path(table, wide=True)] if WIDE.get(table) else [])]
            for path in paths:
                if n_rows and path.rpartition("/")[2] not in present:
                    yield Gap(segment.stage, f"{path} ({n_rows} rows)")


def _gaps_of_unit(stage: str, unit: str, facts: Facts, present: dict[str, set[str]]) -> Iterator[Gap]:
    promised = {table: f"{n_rows} rows" for table, n_rows in facts.get("rows", {}).items()}
    if n_rejects := sum(facts.get("rejects", {}).values()):
        promised[f"rejects/{stage}"] = f"{n_rejects} rejects"
    for table, what in promised.items():
        path = facts.get("parts", {}).get(table, f"{table}/ of {unit}")
        if path.rpartition("/")[2] not in present.get(table, set()):
            yield Gap(stage, f"{path} ({what})")


def _wrong_sums(counts: FunnelCounts) -> Iterator[str]:
    for name, level in (("videos", counts.videos), ("clips", counts.clips)):
        if not level.adds_up:
            yield (
                f"{name}: {level.candidates} candidates, but {level.kept} kept + {level.n_rejected} rejected + "
                f"{level.missing} missing"
            )
