"""`python -m miniyoutube`: serves the embedded site until Ctrl-C, to reproduce what a crawl met."""

import argparse
import errno
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.catalogue import Catalogue
from miniyoutube.demo import demo_catalogue
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.server import MiniYouTube


def main(line: Sequence[str] | None = None) -> None:
    """Serves generated videos the way YouTube does, for the real yt-dlp."""
    parser = _parser()
    asked = parser.parse_args(line)
    catalogue = _catalogue(asked.catalogue, asked.n_videos, asked.seed)
    print("drawing what is not in the cache yet …", flush=True)
    try:
        site = MiniYouTube(catalogue, log_path=asked.log, port=asked.port, host=asked.host).__enter__()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        parser.error(f"port {asked.port} can't be opened: {error.strerror}; choose another with --port, or 0 for any")
    try:
        for video in catalogue.videos if asked.catalogue == "demo" else ():
            if video.behaviour != "good":
                says = BEHAVIOURS[video.behaviour].says
                print(f"https://www.youtube.com/watch?v={video.video_id}  {video.behaviour}: {says}")
        print(f"proxy: {site.proxy_url}")
        options = "--no-check-certificates --no-cache-dir --flat-playlist"
        print(f"try:   yt-dlp --proxy {site.proxy_url} {options} 'ytsearch5:guitar lesson'", flush=True)
        _wait_for_signal()
    finally:
        site.__exit__(None, None, None)
        print(f"{len(site.log)} requests answered")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m miniyoutube", description=main.__doc__)
    parser.add_argument("--catalogue", choices=("demo", "big"), default="demo", help="a few dozen videos, or thousands")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others are for containers")
    parser.add_argument("--n-videos", type=int, default=2000, help="number of videos in the big catalogue")
    parser.add_argument("--seed", type=int, default=0, help="seed of the catalogue")
    parser.add_argument("--log", type=Path, help="write every request to this file as JSON lines")
    return parser


def _catalogue(name: str, n_videos: int, seed: int) -> Catalogue:
    if name == "demo":
        return demo_catalogue(seed)
    return a_catalogue(n_videos, seed=seed, behaviours=[name for name in BEHAVIOURS if name != "good"])


def _wait_for_signal() -> None:
    """Sleeps until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    main()
