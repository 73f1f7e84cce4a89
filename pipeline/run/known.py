"""What the tables say about all videos, kept by the planner for its plans: each part is read once, and few bytes of it
stay.

Plans are made after each batch. They need far less of a video than its rows: its address and channel, how many clips
were planned and how long they are, which of them exist, its rejects. What repeats what is compared by stages
(pipeline/likeness), and read from table `matches`. What only a plan looks at lies in files (`manifests/columns.py`).

These columns are kept, and not asked for in SQL each time: at 100,000 videos the ranks, rejects in force, counts and
made clips of a plan took .07 processor seconds from here, and 2.5 from a DuckDB file that held the tables already
(`query/cache`); the process had .46 GB at most instead of 1.2. What is known of each of 45,000 videos (`standing.py`)
took .24 seconds again, and 7.9 as one query over streamed tables, with the same rows.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.membership import Ids
from manifests.reasons import Reason
from pipeline.balance.clip_lists import GrowingLists, clip_lists
from pipeline.balance.ranking import Ranked
from pipeline.balance.standing import REJECTED_VIDEOS, Outcomes, all_failed
from pipeline.config import RunConfig
from pipeline.engine.run.memory import return_free_pages
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.likeness import pictures, sentences, texts
from pipeline.likeness.matches import Matches
from pipeline.run.candidate_rows import VIDEO_COLUMNS, CandidateRows
from pipeline.run.kept_clips import KeptClips
from pipeline.run.rejects import COLUMNS as REJECT_COLUMNS
from pipeline.run.rejects import VideoRejects
from pipeline.shards.books import PACK_COLUMNS as BOOK_COLUMNS
from pipeline.shards.books import ShardBooks

BYTES_AT_A_TIME = 8 * 1024**2
"""Bytes of a table's rows that are condensed together."""
PACK_COLUMNS = ["video_id", "n", "duration_ms", "status", "reason"]
READ = {
    "videos": VIDEO_COLUMNS,
    "transcripts": ["video_id"],
    "clips": ["video_id", "start_ms", "end_ms"],
    "packs": list(dict.fromkeys([*PACK_COLUMNS, *BOOK_COLUMNS])),
    "rejects": REJECT_COLUMNS,
}
"""The columns that are read of each table. Rejects come last: what makes them void is known by then."""
BATCHES = "batches"
"""The folder of the records of media batches."""


class Known:
    """See the module docstring. `update` reads what was newly committed; all else reports what was read so far."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self.store = store
        self._followers = {table: Follower(store, table, columns) for table, columns in READ.items()}
        self.rejects = VideoRejects()
        self._compares = config.balance.text_duplicates
        self._matches = Matches(store)
        self.rows = CandidateRows()
        self._made = GrowingLists()
        self._failed: list[pa.Table] = []
        self._kept = KeptClips()
        self.shards = ShardBooks(self.update)

    def update(self) -> None:
        """Reads what is new, a file at a time; keeps only a condensed form in memory."""
        with self.store.one_look():
            self._follow()
        self._close_shards()
        return_free_pages()

    def _follow(self) -> None:
        take = {"videos": self.rows.add, "clips": self.rows.add_clips, "packs": self._add_packs}
        for table, follower in self._followers.items():
            for rows in _of_a_size(follower.new()):
                if table == "rejects":
                    self.rejects.add(rows)
                    continue
                take.get(table, lambda rows: None)(rows)
                passed = rows.filter(is_success(rows.column("status"))) if table == "packs" else rows
                self.rejects.add_passed(table, passed.column("video_id"))

    def _close_shards(self) -> None:
        """Reads what was closed since the last update."""
        index: Ids | None = None
        for generation, held in self.shards.closed.new(self.store):
            made = self._made.all()
            index = index or Ids.of(made.video_id)
            self._kept.add(generation, held.samples(), made, index)
            self.shards.close(held)

    def _add_packs(self, rows: pa.Table) -> None:
        succeeded = is_success(rows.column("status"))
        self._made.add(clip_lists([rows.filter(succeeded).select(["video_id", "n", "duration_ms"])]))
        self._failed.append(all_failed(rows, succeeded))
        self.shards.add(rows)

    def repeated_texts(self, videos: pa.Table) -> dict[str, str]:
        """The duplicates by text among `videos`, each with what it repeats, by video id and by clip id."""
        found: dict[str, str] = {}
        if self._compares.reuploads:
            found |= texts.find_repeats(self._matches.of(texts.TEXTS), videos)
        if self._compares.repeated_sentences:
            found |= sentences.find_repeats(self._matches.of(sentences.SENTENCES), videos)
        return found

    def outcomes(self, ranked: Ranked, opted_out: pa.Table, but: pa.Array, n_closed: int | None = None) -> Outcomes:
        """What exists of these candidates and why some are rejected, without the duplicates; for the videos `but` as if
        media had not been made. `opted_out`: more of the REJECTED_VIDEOS; `n_closed`: what is in shards of the first
        generations (None: of all) is kept.
        """
        made, failed = self._made.all(), pa.concat_tables([REJECTED_VIDEOS.empty_table(), *self._failed])
        self._failed = [failed]
        n_kept, others = self._kept.of(len(made.video_id), n_closed)
        rejected = self.rejects.of(ranked.video_id)
        if len(but):
            away = pc.is_in(rejected.column("video_id"), value_set=but)
            rejected = rejected.filter(pc.invert(pc.and_(away, pc.equal(rejected.column("stage"), "media"))))
            failed = failed.filter(pc.invert(pc.is_in(failed.column("video_id"), value_set=but)))
        rejects = pa.concat_tables([rejected.select(REJECTED_VIDEOS.names), opted_out, failed])
        return Outcomes(made, rejects, already_kept=others, n_kept=n_kept, untried=but)

    def repeated_pictures(self, but: pa.Array) -> dict[Reason, dict[str, str]]:
        """The duplicates by pictures among all videos except these, by reason."""
        return pictures.find_repeats(self._matches.of(pictures.CLIPS), self._matches.of(pictures.VIDEOS), but)


def _of_a_size(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: for small tables, the cost per table exceeds that of their rows."""
    waiting: list[pa.Table] = []
    n_bytes = 0
    for rows in tables:
        if not rows.num_rows:
            continue
        waiting.append(rows)
        n_bytes += rows.nbytes
        if n_bytes >= BYTES_AT_A_TIME:
            yield pa.concat_tables(waiting)
            waiting, n_bytes = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
