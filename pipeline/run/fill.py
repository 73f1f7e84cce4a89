"""Second part of a run: media is fetched in waves down each category's seeded order, until quotas of real clips fill.

In:  tables `videos`, `transcripts`, `clips`; rejects in force
Out: table `packs` with the packs; waves/*.json; selection.parquet; balance.json

A wave is written down before it is worked on. So a run that was killed in the middle of one works it off first, and
the next wave is planned from whole waves only: the same selection, killed or not.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.census import Census
from manifests.clip_status import is_success
from manifests.funnel import SELECTION_NAME
from manifests.origin import same_origin
from manifests.reasons import Reason, ReasonClass
from manifests.schema import REJECTS
from pipeline.balance.clip_lists import ClipLists, clip_lists, empty_clip_lists
from pipeline.balance.duplicates import COLUMNS, find_duplicates
from pipeline.balance.ranking import Ranked, candidates_of, rank_candidates
from pipeline.balance.result import BALANCE_NAME
from pipeline.balance.selection import Selection, select
from pipeline.balance.standing import Duplicates, Outcomes, outcomes_of
from pipeline.balance.text_duplicates import find_text_duplicates
from pipeline.balance.waves import next_wave
from pipeline.crawl.sources.registry import fetch_by_source
from pipeline.engine.store import Store
from pipeline.media.places import VideoPlaces
from pipeline.media.stage import MediaStage
from pipeline.run.session import Run
from pipeline.shards.files import read_rows
from pipeline.shards.stage import read_entries
from pipeline.site.fetch import Fetcher
from pipeline.site.optout import load_opt_outs
from pipeline.site.pauses import log_pauses_of

PACK_COLUMNS = ["video_id", "n", "duration_ms", "status", "reason"]
WAVES = "waves"


def fill(run: Run) -> Selection:
    """Fetches and cuts until the quotas are full; writes selection.parquet and balance.json."""
    config, store = run.config, run.store
    candidates = Candidates.read(run)
    with log_pauses_of(run.polite):
        work_off_waves(run, candidates)
    selection = select(candidates.ranked, candidates.outcomes(run), config.balance)
    run.lock.check()
    store.write_table(SELECTION_NAME, selection.table)
    store.write_json(BALANCE_NAME, selection.result.document())
    return selection


def work_off_waves(run: Run, candidates: "Candidates") -> None:
    """Waves, written down before or planned now, until one is empty."""
    config, places = run.config, VideoPlaces()
    for number in range(config.balance.max_waves):
        wave = recorded_wave(run, candidates, number)
        if not wave:
            return
        fetch = fetch_by_source(config, Fetcher(config.crawl, run.polite, config.media.cut), lambda: run.hosts)
        run.do(MediaStage(config.media, wave, fetch, fetch_limit_s=config.crawl.fetch_time_limit_s, places=places))


def recorded_wave(run: Run, candidates: "Candidates", number: int) -> list[str]:
    """The wave of this number: as it was written down, or planned now from what the waves before it gave."""
    name = f"{WAVES}/{number:05d}.json"
    if run.store.exists(name):
        ids: list[str] = run.store.read_json(name)["video_ids"]
        return ids
    planned = next_wave(candidates.ranked, candidates.outcomes(run), run.config.balance)
    if planned:
        run.lock.check()
        run.store.write_json(name, {"video_ids": planned})
    return planned


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a fill starts from and media does not change: the ranks, and what is known to repeat or to stay out."""

    ranked: Ranked
    same_origins: dict[str, str]
    repeated_texts: dict[str, str]
    opted_out: tuple[str, ...]
    census: Census
    """Of whole videos; each wave adds what is new."""

    @classmethod
    def read(cls, run: Run) -> "Candidates":
        """Reads the tables of the metadata stages."""
        store, config = run.store, run.config
        videos = store.read_table("videos", ["video_id", "category_id", "channel_id", "url"])
        clips = store.read_table("clips", ["video_id", "start_ms", "end_ms"])
        opt_outs = load_opt_outs(config.crawl.opt_out, store)
        facts = zip(*(videos.column(name).to_pylist() for name in ("video_id", "channel_id", "url")), strict=True)
        return cls(
            rank_candidates(candidates_of(videos, clips), config.seed),
            same_origin(videos),
            find_text_duplicates(store, config.balance.text_duplicates),
            tuple(video_id for video_id, channel_id, url in facts if opt_outs.cover(video_id, channel_id, url)),
            Census(store, by_clip=False),
        )

    def outcomes(self, run: Run) -> Outcomes:
        """What has come of the candidates by now."""
        store = run.store
        packs = [store.read_part(part, PACK_COLUMNS) for part in store.parts("packs")]
        self.census.again()
        rejects = pa.concat_tables([self.census.in_force(), _opted_out(self.opted_out)])
        return outcomes_of(packs, rejects, self._duplicates(run), already_kept(store))

    def _duplicates(self, run: Run) -> Duplicates:
        found: dict[Reason, dict[str, str]] = {Reason.DUPLICATE_TEXT: self.repeated_texts}
        config = run.config.media.duplicates
        if config.enabled and config.action == "drop":
            found |= find_duplicates(run.store.read_table("packs", list(COLUMNS)), config)
        found[Reason.DUPLICATE_VIDEO] = found.get(Reason.DUPLICATE_VIDEO, {}) | self.same_origins
        return found


def _opted_out(video_ids: tuple[str, ...]) -> pa.Table:
    blank = {name: (1 if name == "attempts" else "") for name in REJECTS.names}
    facts = {"stage": "balance", "reason": Reason.OPTED_OUT.value, "class": ReasonClass.NEVER.value}
    return pa.Table.from_pylist([blank | facts | {"video_id": video_id} for video_id in video_ids], schema=REJECTS)


def already_kept(store: Store) -> ClipLists:
    """The clips in closed shards: they stay kept whatever a later balance would choose."""
    columns = ["video_id", "clip_id", "duration_ms", "status"]
    kept = [_kept_in(read_rows(store, entry.url, columns)) for entry in read_entries(store)]
    if not kept:
        return empty_clip_lists()
    return clip_lists([pa.concat_tables(kept).sort_by("video_id")])


def _kept_in(rows: pa.Table) -> pa.Table:
    """Columns video_id, n, duration_ms of the samples among a shard's rows."""
    good = rows.filter(is_success(rows.column("status")))
    number = pc.replace_substring_regex(good.column("clip_id"), r"^.*\.", "")
    columns = {"video_id": good.column("video_id"), "n": number.cast(pa.int32())}
    return pa.table({**columns, "duration_ms": good.column("duration_ms")})
