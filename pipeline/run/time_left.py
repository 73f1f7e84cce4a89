"""The time left for a whole run, from its first minute.

A run finds videos (lists, looks, texts) and makes clips of them, side by side: what takes longer decides, and the
report follows. Each goes on at its pace so far; until something is found, and something made, the time left is unknown.
How much there is to do:

- to find: of a crawl, what the quotas lack, as of the last plan; of files, the batches that are not read yet;
- to make: with a total, the part of it that is missing (once a crawl has found all it can, of what it found); without
  one, a video for each that was found. What is made counts against all the time since the first was begun: a stage that
  waits for videos to be found goes at their pace.
"""

from collections.abc import Mapping, Sequence

from manifests.run_status import StageStatus
from manifests.stages import ours
from manifests.time_left import seconds_left
from pipeline.config import RunConfig
from pipeline.crawl.round_files import read_states
from pipeline.crawl.sources.registry import asks_site
from pipeline.engine.run import clock
from pipeline.engine.store.store import Store

REPORT_S = 10.0
"""The manifest, the cards and the report of a small data set."""
CLIPS_AN_HOUR = 269.0
"""Of clips of HD-VILA-100M's length: what a total in hours is worth."""
ASKING = ("list", "choose", "extract")
READING = ("folder", "urls")
TABLES = ("videos", "clips", "packs")


class Foresight:
    """Foresees the end of a run from the combined status of its stages, by name."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self._store, self._asks_site = store, asks_site(config)
        self._total, self._unit = config.balance.total, config.balance.unit
        self._found_at_first: float | None = None
        self._making_since: float | None = None
        self._rows_before = {table: store.count_rows(table) for table in TABLES}

    def __call__(self, lines: Mapping[str, StageStatus]) -> float | None:
        """The seconds left; None if nothing says how much there is to do."""
        media = lines.get("media", StageStatus(stage="media"))
        finding = [line for line in lines.values() if ours(line.stage) in (ASKING if self._asks_site else READING)]
        rows = {t: n + sum(line.rows.get(t, 0) for line in lines.values()) for t, n in self._rows_before.items()}

        found = self._found(finding)
        self._found_at_first = found if self._found_at_first is None else self._found_at_first
        find_s = seconds_left(found - self._found_at_first, 1 - found, sum(line.seconds for line in finding))
        now, made = self._made(media, rows, found, self._is_searching(finding))
        make_s = seconds_left(now, 1 - made, self._making_s(media))
        if find_s is None or make_s is None:
            return None
        return round(max(find_s, make_s) + REPORT_S, 1)

    def _found(self, finding: Sequence[StageStatus]) -> float:
        """The share of what is to be found that is found."""
        if self._asks_site:
            states = [state for state in read_states(self._store) if state.state != "dry"]
            wanted = sum(state.quota for state in states)
            if states and not wanted:
                return 1.0
            return sum(min(state.supply, state.quota) for state in states) / wanted if wanted else 0.0
        total = sum(line.total for line in finding)
        return sum(line.done_before + line.done for line in finding) / total if total else 0.0

    def _is_searching(self, finding: Sequence[StageStatus]) -> bool:
        """Whether videos may still be found: what is looked at is not yet known to give clips."""
        return any(line.in_flight or line.done_before + line.done < line.total for line in finding)

    def _making_s(self, media: StageStatus) -> float:
        """Seconds since this run began to make clips."""
        if not media.done and not media.in_flight:
            return 0.0
        if self._making_since is None:
            self._making_since = clock.now() - media.seconds
        return clock.now() - self._making_since

    def _made(
        self, media: StageStatus, rows: Mapping[str, int], found: float, is_searching: bool
    ) -> tuple[float, float]:
        """The share of what is to be made that this run made, and that is made."""
        n_videos = media.done_before + media.done
        if found >= 1 and not is_searching and media.total and n_videos >= media.total:
            return 1.0, 1.0
        now, made, all_ = float(media.done), float(n_videos), rows["videos"] / found if found else 0.0
        if self._total is not None and self._unit != "videos":
            now, made, all_ = float(media.rows.get("packs", 0)), float(rows["packs"]), self._total
            if self._unit == "hours":
                all_ *= CLIPS_AN_HOUR
            if found >= 1:
                all_ = min(all_, rows["clips"])
        elif self._total is not None:
            all_ = min(all_, self._total) if found >= 1 else self._total
        return (now / all_, min(1.0, made / all_)) if all_ else (0.0, 0.0)
