"""Sentinels: videos of three kinds whose answer is known, found by the crawl itself, several of each.

good    has 720p, captions and a category        small   has no 720p        gone    deleted or private

An identity that no longer gets what is known misjudges other videos too. A single video proves nothing: it may have
changed since, so what misses is replaced, and a kind counts as missed only when two of it miss.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from manifests.reasons import Reason, ReasonClass
from pipeline.site.failures import Failure, Pause

SENTINEL_KINDS = ("good", "small", "gone")
MAX_OF_KIND = 4
LOOKS_OF_KIND = 2
"""Videos of a kind that have to miss before the kind does; of the operator's own (crawl.canary) one is enough."""
GONE = frozenset({Reason.UNAVAILABLE, Reason.PRIVATE})
"""The verdicts that a video is no longer there, for anybody."""


class Sentinels:
    """The ids known of each kind, oldest first."""

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {kind: [] for kind in SENTINEL_KINDS}

    def learn(self, video_id: str, failure: Failure | None) -> None:
        """Takes the outcome of a look at a video; keeps its id if its kind has too few."""
        kind = _kind_of(failure)
        if kind and len(self._ids[kind]) < MAX_OF_KIND and video_id not in self._ids[kind]:
            self._ids[kind].append(video_id)

    def forget(self, video_ids: tuple[str, ...]) -> None:
        """Forgets ids that are no longer what they were."""
        for ids in self._ids.values():
            ids[:] = [video_id for video_id in ids if video_id not in video_ids]

    def known(self) -> dict[str, tuple[str, ...]]:
        """The ids of each kind of which any is known."""
        return {kind: tuple(ids) for kind, ids in self._ids.items() if ids}

    def go_on(self, saved: dict[str, list[str]]) -> None:
        """Continues with the ids that a run has saved."""
        for kind in SENTINEL_KINDS:
            self._ids[kind] = [*saved.get(kind, ())][:MAX_OF_KIND]


@dataclass(slots=True)
class SentinelLooks:
    """An identity's looks at sentinels: which are still to be made, and what they mean together.

    `known`: the ids of each kind. `own`: the operator's own good video, "" for none, which comes first. What is said of
    it for ever (it was made private) says nothing about the identity.
    """

    known: Mapping[str, Sequence[str]]
    own: str
    has_passed: bool = False
    missed_ids: list[str] = field(default_factory=list)
    _missed: dict[str, list[Failure]] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)

    def open(self) -> Iterator[tuple[str, str]]:
        """Yields (kind, id) of the next look, as long as looks leave a kind open."""
        for kind, ids in self._kinds().items():
            for video_id in ids[:LOOKS_OF_KIND]:
                if kind not in self._settled:
                    yield kind, video_id

    def _kinds(self) -> dict[str, Sequence[str]]:
        return {**self.known, "good": (self.own, *self.known.get("good", ()))} if self.own else {**self.known}

    def add(self, kind: str, video_id: str, found: Failure | None) -> None:
        """Takes what a look found (None: it extracts as it should)."""
        if is_as_known(kind, found):
            self.has_passed = True
            self._settled.add(kind)
            return
        assert found is not None
        self.missed_ids.append(video_id)
        if video_id != self.own or found.reason.class_ is not ReasonClass.NEVER:
            self._missed.setdefault(kind, []).append(found)
        if video_id == self.own and kind in self._missed:
            self._settled.add(kind)

    def failure(self, odd: str) -> Failure | None:
        """How the identity fails, None if it does not. `odd`: the unknown words for which it looks, "" for none."""
        own_missed = self.own in self.missed_ids
        sure = [kind for kind in self._kinds() if own_missed or len(self._missed.get(kind, ())) == LOOKS_OF_KIND]
        sure = [kind for kind in sure if kind in self._missed]
        if fails(set(sure), set(self._kinds())):
            return replace(self._missed[sure[0]][-1], pause=Pause.HARD)
        return Failure(Reason.UNKNOWN_ANSWER, odd) if odd and not self.has_passed else None


def is_as_known(kind: str, failure: Failure | None) -> bool:
    """Whether a look at a sentinel (None: it extracts as it should) gives what is known of its kind."""
    return failure is None or (kind == "gone" and failure.reason.class_ is ReasonClass.NEVER)


def fails(missed_kinds: set[str], known_kinds: set[str]) -> bool:
    """Whether an identity fails: no good video is good any more, or most kinds miss. Changed words for what is gone, or
    a small video alone, are no block.
    """
    return "good" in missed_kinds or len(missed_kinds) > 1 or (bool(missed_kinds) and missed_kinds == known_kinds)


def _kind_of(failure: Failure | None) -> str:
    if failure is None:
        return "good"
    return "small" if failure.reason is Reason.NO_720P else "gone" if failure.reason in GONE else ""
