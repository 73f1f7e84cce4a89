"""Crawls one video of every behaviour of the mini-YouTube, as whole runs: what becomes of it, and what it costs.

    python -m bench.behaviours > docs/lab/behaviours.md     # ten minutes of a core

Four runs of one output directory, each but the first after a `retry` of all that was refused for now. The behaviours
that make a client wait for its own time limits are on a site of their own, where these are short.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from manifests.reasons import Reason, ReasonClass
from miniyoutube.catalogue import Video
from miniyoutube.demo import demo_config, pointed_at
from miniyoutube.media_cache import MediaCache
from miniyoutube.misbehave import BEHAVIOURS, EDITED
from miniyoutube.script import Script, duration_for
from miniyoutube.server import MiniYouTube
from pipeline.engine.store.store import Store
from pipeline.outdir.retries import request_retries
from pipeline.query.streams import stream_tables
from pipeline.run.road import run_pipeline
from tests.miniyoutube.catalogues import one_of_each

CATEGORY = 27
SETTINGS = (
    f"crawl.categories=[{CATEGORY}]",
    "crawl.limits.min_duration_s=5",
    "crawl.politeness.pauses_s=[0.2, 0.4, 0.8]",
    "crawl.player_clients=[visionos]",
    "text.transcript.min_words=3",
    "media.duplicates.action=off",
    "balance.total=5000",
    "engine.executor=local",
)
IN_HASTE = ("crawl.ydl_opts={socket_timeout: 1}", "crawl.fetch_time_limit_s=8")
KINDS = {"watch": "pages", "player": "players", "embed": "embeds", "captions": "captions", "manifest": "playlists"}
HEAD = """# Every known behaviour of the site

What a crawl makes of each way in which the site is known to behave, on the mini-YouTube, through the real yt-dlp
(`visionos` as the only player, one identity). *At first*: what a first run leaves. *Then*: what three more runs leave,
each after a `retry` of all that was refused for now. *Requests*: of the first run for this video; media in segments or
ranges. A name is in bold where this is not what the table of behaviours (`miniyoutube/misbehave.py`) expects.

Made by `python -m bench.behaviours`.

| behaviour | what the site does | at first | class | then | requests |
|---|---|---|---|---|---|"""
KEPT, N_RUNS = "kept", 4
FATES = "SELECT video_id, reason FROM fates"


@dataclass(frozen=True)
class Ends:
    """What became of each behaviour's video: after each run its reason, or KEPT; and what the first run asked."""

    reasons: Sequence[Mapping[str, str]]
    asked: Mapping[str, Mapping[str, int]]


def crawl(behaviours: Collection[str], folder: Path, changes: Sequence[str] = ()) -> Ends:
    """Whole runs over a video of each behaviour."""
    reasons, asked = [], dict[str, Mapping[str, int]]()
    catalogue = one_of_each(tuple(behaviours))
    original, *others = catalogue.videos
    videos = longer(original), *(longer(v) if v.behaviour in (*EDITED, "reupload") else v for v in others)
    with MiniYouTube(replace(catalogue, videos=videos), cache=MediaCache()) as site:
        ids = {video.video_id: video.behaviour for video in site.catalogue.videos[1:]}
        for _ in range(N_RUNS):
            config = pointed_at(site, demo_config(folder, None, [*SETTINGS, *changes]))
            run_pipeline(config)
            store = Store(str(folder))
            with stream_tables(store, FATES) as tables:
                why = dict(tables.rows(FATES))
            if "reupload" in behaviours:  # their ids say which of the two is left out
                again = next(video_id for video_id, name in ids.items() if name == "reupload")
                why[again] = why[again] or why[videos[0].video_id]
            reasons.append({name: why[video_id] or KEPT for video_id, name in ids.items()})
            request_retries(store, [reason for reason in set(why.values()) if reason and _is_for_now(reason)])
            asked = asked or {ids[i]: Counter(counts) for i, counts in site.log.per_video().items() if i in ids}
    return Ends(reasons, asked)


def longer(video: Video) -> Video:
    """The same with half a minute of short sentences: what is said twice shows in them, and an edit leaves some."""
    seed = video.script.seed
    script = Script(seed, CATEGORY, duration_for(seed, CATEGORY, 6, "plain"), "plain")
    return replace(video, script=script, footage=script)


def _is_for_now(reason: str) -> bool:
    return Reason(reason).class_ is ReasonClass.LATER


def rows(ends: Ends) -> list[str]:
    """The lines of the table, in the order of the behaviours."""
    lines = []
    for name in ends.reasons[0]:
        first, then = ends.reasons[0][name], ends.reasons[-1][name]
        expected = BEHAVIOURS[name].expected
        in_the_end = KEPT if expected.kept_in_the_end else str(expected.reason)
        class_ = "" if first == KEPT else Reason(first).class_.value
        is_as_expected = then == in_the_end and (class_ == "later" or first in (KEPT, str(expected.reason)))
        cells = [f"`{name}`", BEHAVIOURS[name].says, first, class_, then, said(ends.asked.get(name, {}))]
        lines.append("| " + " | ".join(cells if is_as_expected else [f"**{cells[0]}**", *cells[1:]]) + " |")
    return lines


def said(asked: Mapping[str, int]) -> str:
    """How much was asked, in words."""
    others = sum(n for kind, n in asked.items() if kind not in (*KINDS, "media"))
    named = [(asked.get(kind, 0), words) for kind, words in (*KINDS.items(), ("media", "media"))]
    return ", ".join(f"{n} {words}" for n, words in (*named, (others, "others")) if n) or "none"


def main() -> None:
    """Prints the page."""
    slow = [name for name, row in BEHAVIOURS.items() if row.slow]
    others = [name for name in BEHAVIOURS if name not in slow]
    with tempfile.TemporaryDirectory() as folder:
        lines = rows(crawl(others, Path(folder) / "out"))
        lines += rows(crawl(slow, Path(folder) / "slow", IN_HASTE))
    print("\n".join([HEAD, *lines]))


if __name__ == "__main__":
    main()
