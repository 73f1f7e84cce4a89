"""Finds videos of finished shards that are gone at the site, and proposes them: a list, from which nothing is removed.

    removals/gone.txt    video dQw4w9WgXcQ  # private: private video

Asked as a crawl asks: all identities side by side, at their rates, with their pauses, and each looks at a canary
first. Only what the table of failures calls private or unavailable counts; what is refused for now, or in this country,
says nothing about a video. And a verdict is believed once the identity that heard it has been shown another video
since: to one that is blocked every video may be gone.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from manifests.errors import DamagedFile
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
from pipeline.outdir.due import RECHECK, read_gone, write_gone
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way
from pipeline.shards.closed import committed_shards, read_entries
from pipeline.shards.files import SUCCESS, read_rows
from pipeline.site.asking import Asking, NobodyMayAsk, Rules, Turn
from pipeline.site.canary import GONE
from pipeline.site.failures import Failure, classify
from pipeline.site.kept_sessions import site_for
from pipeline.site.politeness import Polite
from pipeline.site.transfers import VIDEO_TRIES
from pipeline.site.ytdlp import extract_video

NOTE_EVERY_S = 60.0

Answers = Generator[tuple[str, Failure | None, str], None, None]
"""(video id, why it is not shown, identity), as answers come."""


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


@dataclass(slots=True)
class _Note:
    """How far a recheck came, in recheck.json. `cursor`: all videos of a lower rank were asked for, and `beyond`."""

    store: Store
    seed: int
    n_videos: int
    found: Rechecked
    cursor: int = -1
    beyond: set[str] = field(default_factory=set)
    shown: str = ""
    """The id at the site of a video that is there."""
    _written_at: float = field(default_factory=time.monotonic)

    def go_on(self) -> None:
        """Takes up what an unfinished recheck of the same seed and number noted, if any; one that was taken away with
        what it names, or damaged, begins anew.
        """
        try:
            noted = self.store.read_json(RECHECK)
            if (noted["seed"], noted["n_videos"]) != (self.seed, self.n_videos):
                return
            doubted = {name: dict(heard) for name, heard in noted["doubted"].items()}
            told = Rechecked(
                self.found.n_videos, noted["n_there"], read_gone(self.store), Counter(noted["open"]), doubted
            )
            place = int(noted["cursor"]), set(noted["beyond"]), str(noted["shown"])
        except (FileNotFoundError, DamagedFile, KeyError, TypeError, ValueError, AttributeError):
            return
        self.found, (self.cursor, self.beyond, self.shown) = told, place

    def write(self) -> None:
        """Notes the list of what is gone, too."""
        self._written_at = time.monotonic()
        self.found.path = write_gone(self.store, self.found.gone)
        facts = {name: getattr(self, name) for name in ("seed", "n_videos", "cursor", "shown")}
        told = {name: getattr(self.found, name) for name in ("n_there", "open", "doubted")}
        self.store.write_json(RECHECK, {**facts, **told, "beyond": sorted(self.beyond)})

    def write_at_times(self) -> None:
        """Notes once a minute."""
        if time.monotonic() - self._written_at > NOTE_EVERY_S:
            self.write()


def recheck(store: Store, config: CrawlConfig, polite: Polite, *, n_videos: int = 0, seed: int = 0) -> Rechecked:
    """Asks for this many videos (0: all), drawn by the seed, and writes the list of those that are gone. One that was
    ended goes on where it stopped.

    Raises NothingMatched if no video of the site is in shards, and RunStopped, with the list written, if the site or
    this machine stops it.
    """
    with RunLock(store):
        refuse_while_under_way(store, read_tombstones(store))
        ids = _in_shards(store)
        if not ids:
            raise NothingMatched(f"{store.url}: no video of the site is in its shards")
        rank = {video_id: hash_name(seed, "recheck", video_id) for video_id in ids}
        drawn = sorted(ids, key=rank.__getitem__)[: n_videos or len(ids)]
        note = _Note(store, seed, n_videos, Rechecked(len(ids)))
        note.go_on()
        todo = [video_id for video_id in drawn if rank[video_id] > note.cursor and video_id not in note.beyond]
        waiting = deque(todo)
        asked = _answers({video_id: ids[video_id] for video_id in todo}, config, polite)
        try:
            with closing(asked) as answers:
                for video_id, seen, identity in counted(answers, len(todo), "recheck", "videos"):
                    note.found.add(video_id, seen, identity)
                    note.shown = ids[video_id] if seen is None else note.shown
                    note.beyond.add(video_id)
                    while waiting and waiting[0] in note.beyond:
                        note.cursor = rank[waiting[0]]
                        note.beyond.discard(waiting.popleft())
                    note.write_at_times()
            _ask_those_in_doubt(note, config, polite)
        except StopRun as stop:
            said = Asking(config, polite).safe(stop.detail)
            raise RunStopped(f"recheck: {stop.reason}: {said}; the next goes on here") from None
        finally:
            note.write()
        store.delete(RECHECK)
        return note.found


def _answers(ids: Mapping[str, str], config: CrawlConfig, polite: Polite) -> Answers:
    """Asks for {video id: id at the site}: all identities side by side. Raises StopRun."""
    left, told = deque(ids.items()), SimpleQueue[tuple[str, Failure | None, str] | BaseException]()

    def ask(identity: str) -> None:
        asking = Asking(config, polite, identity)
        while left:
            try:
                video_id, site_id = left.popleft()
                told.put((video_id, _look_at(site_id, asking), asking.prefer))
            except IndexError:  # another took the last one
                return
            except BaseException as error:  # raised by who takes the answers
                told.put(error)
                return

    for identity in config.pool()[: len(ids)]:
        threading.Thread(target=ask, args=(identity.name,), name="recheck", daemon=True).start()
    try:
        for _ in range(len(ids)):
            answer = told.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        left.clear()


def _ask_those_in_doubt(note: _Note, config: CrawlConfig, polite: Polite) -> None:
    """Shows a video that is there to each identity that has been shown none since it heard that others are gone."""
    for identity in list(note.found.doubted) if note.shown else ():
        asking = Asking(config, polite, identity)
        if _look_at(note.shown, asking) is None:
            note.found.believe(asking.prefer)


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
