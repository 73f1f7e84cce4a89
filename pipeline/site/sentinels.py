"""Sentinels: videos of three kinds whose answer is known, found by the crawl itself, several of each.

good    has 720p, captions and a category        small   has no 720p        gone    deleted or private

An identity that no longer gets what is known misjudges other videos too. A single video proves nothing: it may have
changed since, so what misses is replaced, and a kind counts as missed only when two of it miss.
"""

from manifests.reasons import Reason, ReasonClass
from pipeline.site.failures import Failure

SENTINEL_KINDS = ("good", "small", "gone")
MAX_OF_KIND = 4
LOOKS_OF_KIND = 2
"""Videos of a kind that have to miss before the kind does; of the operator's own (crawl.canary) one is enough."""
_GONE = frozenset({Reason.UNAVAILABLE, Reason.PRIVATE})


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
    return "small" if failure.reason is Reason.NO_720P else "gone" if failure.reason in _GONE else ""
