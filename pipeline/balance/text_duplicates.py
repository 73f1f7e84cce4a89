"""Finds near-duplicates by text: re-uploads, and sentences that a channel says in video after video.

Out: {id: the id that it repeats} for videos (`reuploads.py`) and clips (`sentences.py`), for
`standing.Outcomes.duplicates`
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.balance.near_tasks import Spread, spread_here
from pipeline.balance.reuploads import Reuploads
from pipeline.balance.sentences import Sentences
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.engine.store.store import Store


class Texts:
    """All texts of a store; more may be committed at any time. Repeats do not depend on when they came."""

    def __init__(self, config: TextDuplicatesConfig, store: Store, spread: Spread = spread_here) -> None:
        self._reuploads = Reuploads(store, spread) if config.reuploads else None
        self._sentences = Sentences(store, spread) if config.repeated_sentences else None

    def find_repeats(self, videos: pa.Table, every: pa.Table | None = None) -> dict[str, str]:
        """Finds repeats among `videos` (video_id, channel_id, duration_s): {id: the id that it repeats}.

        Ids are of videos or clips. `every`: all known videos, including these.
        """
        parts = [part.find_repeats(videos, every) for part in (self._reuploads, self._sentences) if part]
        return {one: other for part in parts for one, other in part.items()}
