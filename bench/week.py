"""A week of a crawl on a virtual clock: five identities and a site that has troubles, counted at the site.

    python -m bench.week [--days 7] [--pace 0.05]

The crawl is the product's own: rounds, politeness, pauses, sentinels, second tries, yt-dlp. The site is the
mini-YouTube, asked without a network (`world/asked_directly.py`); media have no bytes, and are cut in imagination.
Besides TROUBLES it refuses a session that asks more than it allows in an hour. A run that ends or stops is started
again an hour later, as by an operator.

`--pace`: everything that asks is so many times as fast as it is in truth, and so are the rounds of the crawl and what
the site allows: with .05 a twentieth of the requests in the same week. Pauses and the hourly sentinels are as in truth,
so that sentinels weigh twenty times as much; what they cost is told apart. For half a day the same world is asked by a
loop around yt-dlp, with and without its own preset of sleeps.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yt_dlp
from pydantic import Secret, SecretStr
from yt_dlp.networking.exceptions import RequestError

from bench.data_api import UNWANTED, a_world
from bench.world.asked_directly import HOUR_S, Asked, Trouble
from bench.world.turns import Turns, Workers
from bench.world.week_said import DAY_S, Lived, lines
from manifests.categories import category_by_id, load_categories
from manifests.reasons import ReasonClass
from miniyoutube.catalogue import Catalogue
from miniyoutube.faults import Fault
from miniyoutube.misbehave import BEHAVIOURS
from pipeline.config import RunConfig
from pipeline.config.crawl import IdentityConfig, PolitenessConfig
from pipeline.crawl import ledger, plan, round_files
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work import attempt
from pipeline.engine.work.executor import Finished
from pipeline.media import stage as media_stage
from pipeline.media.packs import Sample
from pipeline.media.probe import Probe
from pipeline.media.streams import VideoTrack
from pipeline.media.video import MadeClip, MadeVideo
from pipeline.query.rejects import rejects_in_force
from pipeline.run import road, session
from pipeline.site import fetch, politeness
from pipeline.site.kept_sessions import forget_sites
from pipeline.site.ytdlp import RecordingYoutubeDL

BEGAN = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
NAMES = ("one", "two", "three", "four", "five")
ACCOUNT = "five"
"""The identity that has cookies."""
VIDEOS_PER_HOUR = 150.0
SITES_LIMIT = 1000.0
"""Requests an hour after which the site refuses a guest's session, by yt-dlp's wiki: about 300 videos."""
N_SLOTS = 4
RESTART_S = HOUR_S
FOREVER = 1e9
LOOP_S = 12 * HOUR_S
"""How long a loop is watched."""


def _said(status: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "reason": reason, **more}


NEW_WORDS = {
    "removed": _said("ERROR", "The curtain has fallen on this one"),
    "private": _said("LOGIN_REQUIRED", "Only invited eyes may see this"),
    "age": _said("LOGIN_REQUIRED", "Grown-ups only: prove your years", desktopLegacyAgeGateReason=1),
    "geo": _said("UNPLAYABLE", "Not on the programme where you sit"),
    "members": _said("UNPLAYABLE", "Reserved for the inner circle"),
    "bot_check": _said("LOGIN_REQUIRED", "Show us that a hand moves the mouse"),
    "session_limit": _said("UNPLAYABLE", "Too many turns, come back at the next bell"),
}
"""None of them is known to pipeline/site/failures.py."""


def _refuses(identity: str | None, effect: str) -> Fault:
    return Fault("player", effect, identity=identity)


TROUBLES = (
    Trouble("two gets 429 for 2 h", 24, 26, (Fault("player", "status", status=429, identity="two"),)),
    Trouble("four is banned for good", 36, FOREVER, (_refuses("four", "bot_check"),)),
    Trouble("the site changes its words", 48, FOREVER, words=NEW_WORDS),
    Trouble(
        "one and two are blocked for 3 h, in new words", 60, 63, tuple(_refuses(n, "bot_check") for n in NAMES[:2])
    ),
    Trouble(
        "five's cookies have rotated, for 36 h",
        72,
        108,
        tuple(Fault(where, "logged_out", identity=ACCOUNT) for where in ("home", "search", "browse", "watch")),
    ),
    Trouble("all are blocked for 2 h, in new words", 130, 132, (_refuses(None, "bot_check"),)),
)


_SILENT = logging.getLogger("bench.week.loop")
_SILENT.disabled = True


class WeekOver(BaseException):
    """The time is up."""


@dataclass(frozen=True, slots=True)
class Week:
    """The world and the time. `pace`: see the module."""

    catalogue: Catalogue
    days: float
    pace: float
    troubles: Sequence[Trouble] = TROUBLES

    @property
    def ends_s(self) -> float:
        return self.days * DAY_S

    def asked(self, turns: Turns) -> Asked:
        """The site of a new week."""
        return Asked(self.catalogue, turns, self.troubles, SITES_LIMIT * self.pace, 0.3 / self.pace)

    # the product's crawl

    def crawl(self, folder: Path) -> Lived:
        """The week of a crawl into a folder."""
        turns = Turns(BEGAN)
        lived = Lived(self.asked(turns))

        def seen(finished: Finished) -> None:
            if finished.stage == "media" and finished.outcome.facts.get("rows", {}).get("packs"):
                lived.kept_at[finished.unit.name] = turns.now()
            if turns.now() >= self.ends_s:
                raise WeekOver

        config = config_of(folder, self.pace)
        with _imagined(turns, lived.asked, self.pace, lambda _: Workers(turns, N_SLOTS, folder / "scratch", seen)):
            while turns.now() < self.ends_s:
                try:
                    with session.open_run(config) as opened:
                        road.recipe(opened.run())
                    lived.ends.append((turns.now(), "nothing more to do"))
                except RunStopped as stop:
                    lived.ends.append((turns.now(), str(stop)))
                except WeekOver:
                    break
                turns.sleep(RESTART_S)
        self._judge(lived, Store(config.out))
        return lived

    def _judge(self, lived: Lived, store: Store) -> None:
        expected = {video.video_id: BEHAVIOURS[video.behaviour].expected for video in self.catalogue.videos}
        for row in rejects_in_force(store).to_pylist():
            if row["clip_id"]:
                continue
            is_good = expected[row["video_id"]].kept_in_the_end
            if is_good and row["class"] == ReasonClass.NEVER.value:
                lived.never[row["reason"]] += 1
            lived.unsettled += not is_good and row["class"] == ReasonClass.LATER.value

    # a loop around yt-dlp

    def loop(self, *, sleeps: bool) -> Lived:
        """What `yt-dlp` does with the same searches, one after the other, from one address. `sleeps`: `-t sleep`."""
        turns = Turns(BEGAN)
        lived = Lived(self.asked(turns))
        with turns.in_force(), lived.asked.answering():
            options = {
                "proxy": "http://loop:x@127.0.0.1:9", "quiet": True, "cachedir": False, "no_warnings": True,
                "logger": _SILENT, "format": "bv*[height=720]+ba",
                "writesubtitles": True, "writeautomaticsub": True, "subtitleslangs": ["en"],
                "sleep_interval_requests": 0.75 / self.pace if sleeps else 0,
            }  # fmt: skip
            with yt_dlp.YoutubeDL(options) as ydl:
                self._loop(ydl, lived, turns, (15 / self.pace, 5 / self.pace) if sleeps else (0.0, 0.0))
        return lived

    def _loop(self, ydl: Any, lived: Lived, turns: Turns, sleeps: tuple[float, float]) -> None:
        good = {v.video_id for v in self.catalogue.videos if BEHAVIOURS[v.behaviour].expected.reason is None}
        seen: set[str] = set()
        for query in queries():
            try:
                found = [
                    entry["id"] for entry in ydl.extract_info(f"ytsearch600:{query}", False, process=False)["entries"]
                ]
            except yt_dlp.utils.YoutubeDLError:
                continue
            for video_id in found:
                if turns.now() >= min(LOOP_S, self.ends_s):
                    return
                if video_id in seen:
                    continue
                seen.add(video_id)
                try:
                    info = ydl.extract_info(f"https://www.youtube.com/watch?v={video_id}", download=False)
                    tracks = [*(info.get("requested_subtitles") or {}).values()]
                    turns.sleep(sleeps[1])
                    for track in tracks:
                        ydl.urlopen(track["url"]).read()
                    turns.sleep(sleeps[0])
                    for stream in info["requested_formats"]:
                        ydl.urlopen(stream["url"]).read()
                except (yt_dlp.utils.YoutubeDLError, RequestError):
                    continue
                if video_id in good:
                    lived.kept_at[video_id] = turns.now()


def queries() -> Iterator[str]:
    """The searches of the categories that are wanted, as the crawl has them built in."""
    for category in load_categories():
        if category.id != UNWANTED and (built_in := category_by_id(category.id)):
            yield from built_in.queries


def config_of(folder: Path, pace: float) -> RunConfig:
    """The crawl's settings: the defaults, at this pace."""
    cookies = folder / "cookies.txt"
    folder.mkdir(parents=True, exist_ok=True)
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t2000000000\tLOGIN_INFO\tx\n")
    identities = [
        IdentityConfig(
            name=name,
            proxy=SecretStr(f"http://{name}:x@127.0.0.1:9"),
            videos_per_hour=VIDEOS_PER_HOUR * pace,
            cookies=cookies if name == ACCOUNT else None,
        )
        for name in NAMES
    ]
    rates = {kind: rate * pace for kind, rate in PolitenessConfig().identity_requests_per_minute.items()}
    return RunConfig.model_validate(
        {
            "out": str(folder / "out"),
            "crawl": {
                "sources": ["search", "channel"],
                "categories": [category.id for category in load_categories() if category.id != UNWANTED],
                "limits": {"min_duration_s": 5},
                "identities": identities,
                "politeness": {"identity_requests_per_minute": rates},
                "ydl_opts": Secret({"nocheckcertificate": True, "cachedir": False}),
            },
            "text": {"transcript": {"min_words": 3}, "filters": {"max_repeated_share": 1.0}},
            "balance": {
                "policy": "equal", "unit": "hours", "total": 1000,
                "text_duplicates": {"reuploads": False, "repeated_sentences": False},
            },
            "media": {"duplicates": {"action": "off"}},
            "engine": {"executor": "local"},
        }
    )  # fmt: skip


@contextmanager
def _imagined(turns: Turns, asked: Asked, pace: float, executor: Callable[[RunConfig], Workers]) -> Iterator[None]:
    """In the block a run goes by the virtual clock, its site answers without a network, and media are imagined."""

    class Virtual(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(turns.wall(), tz)

    async def sleep(seconds: float) -> None:
        turns.sleep(seconds)

    def build(self: politeness.BuildPoliteness) -> politeness.Politeness:
        rates = {identity.name: identity.videos_per_hour for identity in self.config.pool()}
        return politeness.Politeness(
            self.config.politeness, rates, store=self.store, clock=turns.now, wall_clock=turns.wall
        )

    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    with ExitStack() as stack:
        enter = stack.enter_context
        enter(turns.in_force())
        enter(asked.answering())
        for module in (attempt, ledger, round_files, road):
            enter(mock.patch.object(module, "datetime", Virtual))
        enter(mock.patch("os.fsync", lambda fd: None))  # this run need not survive a power cut
        enter(mock.patch.object(politeness, "asyncio", SimpleNamespace(sleep=sleep, to_thread=at_once)))
        enter(mock.patch.object(politeness, "POLL_S", politeness.POLL_S / pace))
        for constant in ("FIRST_CANDIDATES", "MORE_CANDIDATES", "MAX_CANDIDATES"):
            enter(mock.patch.object(plan, constant, math.ceil(getattr(plan, constant) * pace)))
        enter(mock.patch.object(plan, "STEADY_HOURS", plan.STEADY_HOURS * pace))
        enter(mock.patch.object(politeness.BuildPoliteness, "__call__", build))
        enter(mock.patch.object(session, "build_executor", executor))
        enter(mock.patch.object(RecordingYoutubeDL, "process_ie_result", _downloaded))
        enter(mock.patch.object(fetch, "check_media", lambda *_: None))
        enter(mock.patch.object(media_stage, "make_video", _made))
        stack.callback(forget_sites)
        yield


def _downloaded(self: RecordingYoutubeDL, info: Any, download: bool = True, extra_info: Any = None) -> Any:
    """Asks for each chosen stream, and leaves an empty file."""
    for stream in info["formats"]:
        self.urlopen(stream["url"]).read()
    Path(self.params["outtmpl"]["default"] % {"id": info["id"], "format_id": "both", "ext": "mp4"}).touch()
    return info


def _made(path: Path, video: Any, clips: Any, *_: Any) -> MadeVideo:
    """All clips of a video, without a picture."""
    facts: dict[str, Any] = {**dict.fromkeys(VideoTrack.__dataclass_fields__, 0), "fps": Fraction(25), "codec": "h264"}
    picture = VideoTrack(**facts)
    probe = Probe(path, "mp4", 1, Fraction(0), round(video["duration_s"] * 1000), -1, picture, None, 0)
    made = [
        MadeClip(
            row["n"], row["start_ms"], row["end_ms"], row["text"],
            Sample(f"{video['video_id']}_{row['n']:05d}", {"txt": b"x"}),
        )
        for row in clips
    ]  # fmt: skip
    return MadeVideo(probe, made, [])


def main() -> None:
    """Lives the week and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--pace", type=float, default=0.05)
    given = parser.parse_args()
    n_looks = len(NAMES) * VIDEOS_PER_HOUR * given.pace * 24 * given.days
    week = Week(a_world(round(1.3 * n_looks)), given.days, given.pace)
    logging.getLogger("hdvila").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="week-") as folder:
        lived = week.crawl(Path(folder))
        loops = {"yt-dlp in a loop": week.loop(sleeps=False), "the same, -t sleep": week.loop(sleeps=True)}
        for line in lines(config_of(Path(folder), week.pace).crawl, lived, loops):
            print(line)


if __name__ == "__main__":
    main()
