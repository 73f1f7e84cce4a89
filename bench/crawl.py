"""Measures the cost of the crawl's own bookkeeping: CPU per video besides yt-dlp, and memory per known video.

    python bench/crawl.py                      20,000 videos
    python bench/crawl.py --videos 2000

One video is extracted by the real yt-dlp from the mini-YouTube, and its info and caption file are recorded; then a
crawl of many ids (an ids file → list → choose → extract → commit, rounds and ledger) gets the recorded answer for each,
under its own id. So everything runs as in production except yt-dlp, the network, and the calls of the shared politeness
object over Ray. Limits: 1 ms of CPU per video, 16 bytes of memory per known video.
"""

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from pydantic import Secret, SecretStr

import pipeline.crawl.extract
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import site_id
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig, LimitsConfig, PolitenessConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import Wanted
from pipeline.crawl.rounds import BuildPoliteness, rounds, stages_of
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.lock import RunLock
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import Politeness
from pipeline.site.ytdlp import Session, extract_video, no_token, open_site, options_for, read_caption

FAST = dict.fromkeys(("list", "page", "player", "caption", "media", "other"), 1000000000.0)


def main() -> None:
    """Prints CPU per video by stage, and bytes per known video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20_000)
    n_videos = parser.parse_args().videos
    info, caption = record()
    print(f"recorded one answer of the real yt-dlp: {len(info['formats'])} formats, {len(caption)} bytes of captions")
    recorded: dict[str, Any] = {
        "extract_video": lambda _site, video_id: {**info, "id": video_id},
        "read_caption": lambda *_: caption,
    }
    vars(pipeline.crawl.extract).update(recorded)
    with tempfile.TemporaryDirectory() as folder:
        measure(n_videos, Path(folder))


def record() -> tuple[dict[str, Any], bytes]:
    """Records the info and the caption file of one video from the real yt-dlp."""
    with MiniYouTube(a_catalogue(1, misbehaving=0.0), draw="lazily") as site:
        config = crawl_config(Path("unused"), site.proxy_url)
        session = Session(no_token, time.monotonic() + 60)
        with open_site(options_for(config, config.pool()[0]), session) as ydl:
            info = extract_video(ydl, site.catalogue.videos[0].video_id)
            track = next(iter((info["subtitles"] or info["automatic_captions"]).values()))
            return info, read_caption(ydl, next(e["url"] for e in track if e["ext"] == "json3"), 1 << 20)


def crawl_config(ids_file: Path, proxy: str = "") -> CrawlConfig:
    """The configuration of an ids crawl without waits."""
    return CrawlConfig(
        sources=("ids",),
        ids_files=(ids_file,),
        identities=(IdentityConfig(name="one", proxy=SecretStr(proxy), videos_per_hour=1e9),),
        politeness=PolitenessConfig(identity_requests_per_minute=FAST, jitter=0.0),
        limits=LimitsConfig(min_duration_s=1),
        ydl_opts=Secret({"nocheckcertificate": True}),
    )


def measure(n_videos: int, folder: Path) -> None:
    """Runs the crawl and prints the costs."""
    ids_file = folder / "ids.txt"
    ids_file.write_text("".join(site_id(11, "bench", n) + "\n" for n in range(n_videos)))
    config, store = crawl_config(ids_file), Store(str(folder / "out"))
    executor, ledger, wanted = LocalExecutor(folder / "scratch"), CrawlLedger(store), Wanted({27: 1e9})
    polite = Direct(BuildPoliteness(config, store)())
    cpu: dict[str, float] = {}
    started = time.process_time()
    with RunLock(store) as lock:
        for plan in rounds(config, store, wanted, ledger):
            for stage in stages_of(plan, config, polite, ledger, Tombstones()):
                before = time.process_time()
                run_stage(stage, store, executor, lock)
                cpu[stage.name] = cpu.get(stage.name, 0.0) + time.process_time() - before
    total = time.process_time() - started
    for name, seconds in {**cpu, "plans and ledger": total - sum(cpu.values()), "all": total}.items():
        print(f"{name:16} {seconds:8.2f} s CPU {1000 * seconds / n_videos:8.3f} ms a video")
    print(f"kept {store.read_table('videos', ['video_id']).num_rows} of {n_videos}")
    print(f"memory of the ledger: {bytes_a_video(store, n_videos):.1f} bytes a known video (limit 16)")


def bytes_a_video(store: Store, n_videos: int) -> float:
    """The memory of a ledger that has read everything, divided by the videos that it knows."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    ledger = CrawlLedger(store)
    ledger.update()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ledger.known) == n_videos
    return (after - before) / n_videos


class Direct:
    """Politeness without waits: an event loop per call would cost more than the call."""

    def __init__(self, polite: Politeness) -> None:
        self._polite = polite

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._polite, name)

        def call(*args: Any) -> Any:
            result = method(*args)
            if not hasattr(result, "send"):
                return result
            try:
                while True:
                    result.send(None)
            except StopIteration as done:
                return done.value

        return call


if __name__ == "__main__":
    main()
