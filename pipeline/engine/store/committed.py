"""Which units are done and what their commits hold, be they objects of their own or merged into segments."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from manifests.files import Files
from manifests.parallel import READERS, side_by_side
from pipeline.engine.store.commits import Commits, Facts
from pipeline.engine.store.segments import MAX_MOVED, Head, SegmentReader, change_head, read_head, without

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Look:
    """What was there at one moment. `seen`: the head's bytes. `own`: by stage, {unit: path of its commit} of those that
    are objects of their own; some may be covered by segments.
    """

    head: Head
    seen: bytes | None
    own: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Committed(Files):
    """The files of an output directory, together with its commits."""

    @cached_property
    def commits(self) -> Commits:
        """The commits that are objects of their own."""
        return Commits(self)

    @cached_property
    def segments(self) -> SegmentReader:
        """The segments, with a cache of what was read of them."""
        return SegmentReader(self)

    @cached_property
    def _looks(self) -> list[Look]:
        return []  # the look of the block under way, if any

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """What the block reads of tables and commits is what was there when it began: one look serves all of it, where
        each table would take four requests, one after the other. In the block nothing may be committed by this process.
        """
        if self._looks:
            yield
            return
        self._looks.append(self._looked())
        try:
            yield
        finally:
            self._looks.clear()

    def look_again(self) -> None:
        """Takes the look of the block anew: a file that it knows of has been moved."""
        if self._looks:
            self._looks[:] = [self._looked()]

    def is_outdated(self) -> bool:
        """Whether the block's look is older than the last change of the head."""
        return bool(self._looks) and read_head(self)[1] != self._looks[0].seen

    def head(self) -> tuple[Head, bytes | None]:
        """The head and its bytes: of the look under way, or as they are now."""
        return (self._looks[0].head, self._looks[0].seen) if self._looks else read_head(self)

    def _looked(self) -> Look:
        for _ in range(MAX_MOVED):
            head, seen = read_head(self)
            stages = self.commits.stages()
            own = dict(zip(stages, side_by_side(partial(self._commits_after, head), stages), strict=True))
            if read_head(self)[1] == seen:
                break
        return Look(head, seen, own)

    def commit_stages(self) -> list[str]:
        """The stages with commits that are objects of their own."""
        return list(self._looks[0].own) if self._looks else self.commits.stages()

    def steadily(self, read: Callable[[Head], Made]) -> Made:
        """Returns what `read` makes of the head; starts over if the head changed meanwhile or a file went missing."""
        for _ in range(MAX_MOVED):
            head, seen = self.head()
            try:
                made = read(head)
            except FileNotFoundError:
                self.look_again()
                continue
            if self.head()[1] == seen:
                return made
        return read(self.head()[0])

    def stages(self) -> list[str]:
        """The stages that have committed units."""
        return sorted({*self.commit_stages(), *(segment.stage for segment in self.head()[0].segments)})

    def committed(self, stage: str) -> set[str]:
        """Names of the units of a stage that are done."""
        return self.steadily(lambda head: {*self._own_commits(head, stage), *self.segments.names(head.of(stage))})

    def n_committed(self, stage: str) -> int:
        """The number of units of a stage that are done, without reading the names of those in segments."""
        return self.steadily(
            lambda head: sum(it.n_units - len(it.void) for it in head.of(stage)) + len(self.loose(head, stage))
        )

    def committed_of(self, stage: str, units: Collection[str]) -> set[str]:
        """Those of these units that are done, without reading the names of all others."""

        def read(head: Head) -> set[str]:
            held = self._segments_with(head, stage, units).values()
            return {*(self._own_commits(head, stage).keys() & set(units)), *(name for names in held for name in names)}

        return self.steadily(read)

    def commit_all(self, stage: str, units: Mapping[str, Facts]) -> None:
        """Commits several units at once, in one object."""
        if units:
            if stage not in self.commits.floor:
                self._own_commits(read_head(self)[0], stage)
            self.commits.write(stage, units)

    def uncommit(self, stage: str, *units: str) -> None:
        """Takes back units' commits, so that they run again."""
        self._own_commits(read_head(self)[0], stage)
        self.commits.remove(stage, units)
        change_head(self, lambda head: without(head, stage, self._segments_with(head, stage, units)))

    def _segments_with(self, head: Head, stage: str, units: Collection[str]) -> dict[str, list[str]]:
        segments = head.of(stage) if units else []
        self.segments.load(segments)
        held_by = {segment.id: self.segments.among(segment, units) for segment in segments}
        return {name: held for name, held in held_by.items() if held}

    def commit_facts(self, stage: str, unit: str) -> Facts:
        """What a unit's commit holds: rows by table, rejects by reason, seconds, files, and the stage's own facts."""
        return self.steadily(lambda head: self._facts(head, stage, unit))

    def _facts(self, head: Head, stage: str, unit: str) -> Facts:
        holding = self._segments_with(head, stage, [unit])
        for segment in head.of(stage):
            if segment.id in holding:
                return next(facts for _, facts in self.segments.facts(segment, unit))
        where = self._own_commits(head, stage)
        if unit not in where:
            raise FileNotFoundError(f"{self.url}/commits/{stage}: no commit of {unit}")
        return self.commits.facts(where[unit], unit)

    def all_commit_facts(self, stage: str, but: Callable[[str], bool] = lambda unit: False) -> list[tuple[str, Facts]]:
        """(unit, what its commit holds) of every done unit of a stage, sorted by name. `but`: units to leave out."""
        return self.steadily(lambda head: sorted(self._all_facts(head, stage, but), key=lambda pair: pair[0]))

    def _all_facts(self, head: Head, stage: str, but: Callable[[str], bool]) -> Iterator[tuple[str, Facts]]:
        for segment in head.of(stage):
            yield from self.segments.facts(segment, but=but)
        yield from self._loose_facts(head, stage, but)

    def loose_commit_facts(self, stage: str) -> list[tuple[str, Facts]]:
        """(unit, what its commit holds) of the done units that are in no segment, in no particular order."""
        return self.steadily(lambda head: list(self._loose_facts(head, stage, lambda unit: False)))

    def _loose_facts(self, head: Head, stage: str, but: Callable[[str], bool]) -> Iterator[tuple[str, Facts]]:
        loose = {unit: path for unit, path in self.loose(head, stage).items() if not but(unit)}
        with ThreadPoolExecutor(READERS) as readers:
            yield from zip(loose, readers.map(self.commits.facts, loose.values(), loose), strict=True)

    def _own_commits(self, head: Head, stage: str) -> dict[str, str]:
        """{unit: path of its commit} of the commits that are objects of their own; some may be covered by segments."""
        if self._looks and self._looks[0].head is head:
            return dict(self._looks[0].own.get(stage, {}))
        return self._commits_after(head, stage)

    def _commits_after(self, head: Head, stage: str) -> dict[str, str]:
        self.commits.floor[stage] = head.covered.get(stage, 0)
        return self.commits.of(stage, head.covered.get(stage, 0))

    def reject_counts(self, stage: str) -> Counter[str]:
        """The number of rejects in a stage's done units by reason, those whose retry succeeded included."""
        return self.steadily(lambda head: self._reject_counts(head, stage))

    def _reject_counts(self, head: Head, stage: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for segment in head.of(stage):
            if not segment.void:
                counts.update(segment.rejects)
                continue
            for _, facts in self.segments.facts(segment):
                counts.update(facts.get("rejects", {}))
        for unit, path in self.loose(head, stage).items():
            counts.update(self.commits.facts(path, unit).get("rejects", {}))
        return counts

    def loose(self, head: Head, stage: str) -> dict[str, str]:
        """{unit: path of its commit} of the units that are in no segment."""
        where = self._own_commits(head, stage)
        covered = [name for names in self._segments_with(head, stage, where.keys()).values() for name in names]
        for name in covered:
            where.pop(name, None)
        return where
