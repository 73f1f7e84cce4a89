"""Finds videos of finished shards that are gone at the site, and proposes them: a list, from which nothing is removed.

    removals/gone.txt    video dQw4w9WgXcQ  # private: private video

Asked as a crawl asks: its identities in turn, at their rates, with its pauses, and each identity looks at the sentinels
first. Only what the table of failures calls private or unavailable counts; what is refused for now, or in this country,
says nothing about a video. And a verdict is believed once the identity that heard it has been shown another video
since: to one that is blocked every video may be gone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from manifests.exits import NothingMatched
from manifests.hashing import hash_name
from manifests.lock import RunLock
from manifests.origin import is_site_id, origin_of
from manifests.reasons import Reason
from pipeline.config.crawl import CrawlConfig
from pipeline.crawl.extract import VIDEO_TIME_LIMIT_S
from pipeline.engine.run.progress import counted
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import StopRun
from pipeline.outdir.due import write_gone
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way
from pipeline.shards.closed import committed_shards, read_entries
from pipeline.shards.files import SUCCESS, read_rows
from pipeline.site.addresses import VIDEO_TRIES
from pipeline.site.asking import Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.failures import Failure, classify
from pipeline.site.kept_sessions import site_for
from pipeline.site.politeness import Polite
from pipeline.site.sentinels import GONE
from pipeline.site.ytdlp import extract_video


@dataclass(slots=True)
class Rechecked:
    """What was found. `n_videos`: of the site, in shards; `gone`: {video id: why}; `open`: no verdict, by reason."""

    n_videos: int
    n_there: int = 0
    gone: dict[str, str] = field(default_factory=dict)
    open: Counter[str] = field(default_factory=Counter)
    doubted: dict[str, dict[str, str]] = field(default_factory=dict)
    """{identity: what it heard to be gone, and has been shown no video since}"""
    path: str = ""
    """Of the list; "" if nothing is proposed."""

    def add(self, video_id: str, seen: Failure | None, identity: str) -> None:
        """Takes what an identity was shown of a video; None: the video."""
        if seen is None:
            self.n_there += 1
            self.believe(identity)
        elif seen.reason in GONE:
            self.doubted.setdefault(identity, {})[video_id] = f"{seen.reason.value}: {seen.reason.meaning}"
        else:
            self.open[seen.reason.value] += 1

    def believe(self, identity: str) -> None:
        """An identity was shown a video: what it heard to be gone is."""
        self.gone |= self.doubted.pop(identity, {})


def recheck(store: Store, config: CrawlConfig, polite: Polite, *, n_videos: int = 0, seed: int = 0) -> Rechecked:
    """Asks for this many videos (0: all), drawn by the seed, and writes the list of those that are gone.

    Raises NothingMatched if no video of the site is in shards, and RunStopped, with the list written, if the site or
    this machine stops it.
    """
    with RunLock(store):
        refuse_while_under_way(store, read_tombstones(store))
        ids = _in_shards(store)
        if not ids:
            raise NothingMatched(f"{store.url}: no video of the site is in its shards")
        found = Rechecked(len(ids))
        drawn = sorted(ids, key=lambda video_id: hash_name(seed, "recheck", video_id))[: n_videos or len(ids)]
        asking, shown = Asking(config, polite), ""
        try:
            for video_id in counted(drawn, len(drawn), "recheck", "videos"):
                seen = _look_at(ids[video_id], asking)
                found.add(video_id, seen, asking.prefer)
                shown = ids[video_id] if seen is None else shown
            if shown and any(found.doubted.values()) and _look_at(shown, asking) is None:
                found.believe(asking.prefer)
        except StopRun as stop:
            raise RunStopped(f"recheck: {stop.reason}: {asking.safe(stop.detail)}") from None
        finally:
            found.path = write_gone(store, found.gone)
        return found


def _in_shards(store: Store) -> dict[str, str]:
    """{video id: its id at the site} of the videos with samples in shards that came from the site."""
    closed = read_entries(store)
    ids = {}
    for entry in (*closed, *committed_shards(store, but={entry.url for entry in closed}).values()):
        for row in read_rows(store, entry.url, ["video_id", "url", "status"]).to_pylist():
            if row["status"] == SUCCESS and is_site_id(origin := origin_of(row["url"])):
                ids[row["video_id"]] = origin
    return ids


def _look_at(site_id: str, asking: Asking) -> Failure | None:
    """Why a video is not shown; None if it is."""
    rules = Rules(VIDEO_TIME_LIMIT_S, VIDEO_TRIES, asking.config.politeness.patience_s)
    try:
        seen = asking.ask(site_id, partial(_attempt, site_id, asking.config), rules)
    except NobodyMayAsk as paused:
        return Failure(Reason.RATE_LIMITED, str(paused))
    return seen if isinstance(seen, Failure) else None


def _attempt(site_id: str, config: CrawlConfig, turn: Turn) -> bool | Failure:
    """Whether the site shows the video."""
    info = extract_video(site_for(config, turn.identity, turn.clients, turn.session), site_id)
    return bool(info.get("formats")) or classify(turn.session.evidence(text="No video formats found!"))
