"""Canaries: videos that are known to be there. Who is not shown one of them is not believed about other videos.

An operator's own (crawl.canary) is known to have 720p, captions and a category. Without one, and beside it, there are
the first videos that the crawl was shown whole.
"""

from collections.abc import Sequence

from manifests.reasons import Reason, ReasonClass
from pipeline.site.failures import Failure

MOST_CANARIES = 3
"""Of the crawl's own: one may be removed like any other video."""

SAID = frozenset(
    {
        *(Reason.PRIVATE, Reason.UNAVAILABLE, Reason.AGE_RESTRICTED, Reason.MEMBERS_ONLY, Reason.PAYMENT_REQUIRED),
        *(Reason.GEO_BLOCKED, Reason.DRM, Reason.LIVE, Reason.UNKNOWN_ANSWER),
    }
)
"""What the site only says of a video: a block may be put in such words. Other verdicts need facts of the video."""

WITHHELD = frozenset({Reason.NO_720P, Reason.NO_AUDIO_FORMAT, Reason.NO_CAPTIONS, Reason.EMPTY_CAPTIONS})
"""Verdicts for want of something: what the site withholds from an identity looks like what is not there."""

UNBELIEVED = "the site shows nothing to who asked"
"""Of a verdict that is not recorded: how the reject's detail begins."""


def is_shown(failure: Failure | None) -> bool:
    """Whether the outcome of an attempt at a video proves that the site shows the identity what there is."""
    return failure is None or (failure.reason.class_ is ReasonClass.NEVER and failure.reason not in SAID | WITHHELD)


GONE = frozenset({Reason.UNAVAILABLE, Reason.PRIVATE})
"""The verdicts that a video is no longer there, for anybody."""


class Canaries:
    """The ids of the crawl's own canaries. One that was missed is replaced once another video is shown."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._missed: set[str] = set()

    def learn(self, video_id: str) -> None:
        """Takes a video that was shown whole."""
        self._ids = [known for known in self._ids if known not in self._missed]
        self._missed.clear()
        if len(self._ids) < MOST_CANARIES and video_id not in self._ids:
            self._ids.append(video_id)

    def miss(self, video_ids: Sequence[str]) -> None:
        """Takes canaries that an identity was not shown."""
        self._missed.update(video_ids)

    def known(self) -> tuple[str, ...]:
        """The ids, oldest first."""
        return tuple(self._ids)

    def go_on(self, saved: Sequence[str]) -> None:
        """Continues with the ids that a run has saved."""
        self._ids = [*saved][:MOST_CANARIES]
