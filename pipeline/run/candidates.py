"""What a plan of media or shards knows: the first candidates in recorded order, and what came of some batches.

A plan made ahead of what is under way looks at no more than this, however much there is by then: so the same plan
comes of a slow crawl and a fast one, and of a run that was killed.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.funnel import rejects_in_force
from manifests.origin import same_origin
from manifests.reasons import Reason, ReasonClass
from manifests.schema import REJECTS
from pipeline.balance.clip_lists import ClipLists, clip_lists, empty_clip_lists
from pipeline.balance.duplicates import COLUMNS, find_duplicates
from pipeline.balance.ranking import Ranked, candidates_of, rank_candidates
from pipeline.balance.standing import Duplicates, Outcomes, outcomes_of
from pipeline.balance.text_duplicates import find_text_duplicates
from pipeline.config import RunConfig
from pipeline.engine.store import Store
from pipeline.shards.files import read_rows
from pipeline.shards.stage import read_entries
from pipeline.site.optout import load_opt_outs

PACK_COLUMNS = ["video_id", "n", "duration_ms", "status", "reason"]
VIDEO_COLUMNS = ["video_id", "category_id", "channel_id", "url", "duration_s", "round"]


def rounds_with(store: Store, n_candidates: int) -> int | None:
    """How many rounds of the crawl hold the first `n_candidates`; None where all rounds together hold fewer."""
    rounds = store.read_table("candidates", ["round"]).column("round").to_numpy()
    if len(rounds) < n_candidates:
        return None
    return int(np.searchsorted(np.cumsum(np.bincount(rounds)), n_candidates)) + 1


@dataclass(frozen=True, slots=True)
class Candidates:
    """What media does not change: the ranks, and what is known to repeat or to stay out."""

    config: RunConfig
    store: Store
    ranked: Ranked
    same_origins: dict[str, str]
    repeated_texts: dict[str, str]
    opted_out: tuple[str, ...]

    @classmethod
    def read(cls, config: RunConfig, store: Store, n_rounds: int | None = None) -> "Candidates":
        """Of the first rounds of the crawl and of all other sources; `n_rounds` None: of everything."""
        videos = store.read_table("videos", VIDEO_COLUMNS)
        if n_rounds is not None:  # what is no crawl counts as its first round
            videos = videos.filter(pc.less(videos.column("round"), max(1, n_rounds)))
        clips = store.read_table("clips", ["video_id", "start_ms", "end_ms"])
        opt_outs = load_opt_outs(config.crawl.opt_out, store)
        facts = zip(*(videos.column(name).to_pylist() for name in ("video_id", "channel_id", "url")), strict=True)
        return cls(
            config,
            store,
            rank_candidates(candidates_of(videos, clips), config.seed),
            same_origin(videos),
            find_text_duplicates(store, config.balance.text_duplicates, videos),
            tuple(video_id for video_id, channel_id, url in facts if opt_outs.cover(video_id, channel_id, url)),
        )

    def outcomes(self, but: Collection[str] = (), *, n_closed: int | None = None) -> Outcomes:
        """What has come of the candidates by now.

        `but`: videos that count as if nothing had come of them yet. `n_closed`: only the clips in shards of the first
        `n_closed` generations count as kept.
        """
        store = self.store
        away = pa.array(sorted(but), pa.string())
        packs = [_without(store.read_part(part, PACK_COLUMNS), away) for part in store.parts("packs")]
        rejects = pa.concat_tables([_media_not_of(rejects_in_force(store), away), _opted_out(self.opted_out)])
        return outcomes_of(packs, rejects, self._duplicates(away), already_kept(store, n_closed))

    def _duplicates(self, away: pa.Array) -> Duplicates:
        found: dict[Reason, dict[str, str]] = {Reason.DUPLICATE_TEXT: self.repeated_texts}
        config = self.config.media.duplicates
        if config.enabled and config.action == "drop":
            found |= find_duplicates(_without(self.store.read_table("packs", list(COLUMNS)), away), config)
        found[Reason.DUPLICATE_VIDEO] = found.get(Reason.DUPLICATE_VIDEO, {}) | self.same_origins
        return found


def _without(table: pa.Table, video_ids: pa.Array) -> pa.Table:
    if not len(video_ids):
        return table
    return table.filter(pc.invert(pc.is_in(table.column("video_id"), value_set=video_ids)))


def _media_not_of(rejects: pa.Table, video_ids: pa.Array) -> pa.Table:
    """Rejects but those that the media of these videos has."""
    if not len(video_ids):
        return rejects
    of_these = pc.is_in(rejects.column("video_id"), value_set=video_ids)
    return rejects.filter(pc.invert(pc.and_(of_these, pc.equal(rejects.column("stage"), "media"))))


def _opted_out(video_ids: tuple[str, ...]) -> pa.Table:
    blank = {name: (1 if name == "attempts" else "") for name in REJECTS.names}
    facts = {"stage": "balance", "reason": Reason.OPTED_OUT.value, "class": ReasonClass.NEVER.value}
    return pa.Table.from_pylist([blank | facts | {"video_id": video_id} for video_id in video_ids], schema=REJECTS)


def already_kept(store: Store, n_closed: int | None = None) -> ClipLists:
    """The clips in closed shards, of the first `n_closed` generations: they stay kept whatever a later balance would
    choose."""
    columns = ["video_id", "clip_id", "duration_ms", "status"]
    entries = [entry for entry in read_entries(store) if n_closed is None or entry.generation < n_closed]
    kept = [_kept_in(read_rows(store, entry.url, columns)) for entry in entries]
    return clip_lists([pa.concat_tables(kept).sort_by("video_id")]) if kept else empty_clip_lists()


def _kept_in(rows: pa.Table) -> pa.Table:
    """Columns video_id, n, duration_ms of the samples among a shard's rows."""
    good = rows.filter(is_success(rows.column("status")))
    number = pc.replace_substring_regex(good.column("clip_id"), r"^.*\.", "")
    columns = {"video_id": good.column("video_id"), "n": number.cast(pa.int32())}
    return pa.table({**columns, "duration_ms": good.column("duration_ms")})
