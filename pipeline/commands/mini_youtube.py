"""`hdvila-pipeline mini-youtube`: serves the embedded mini-YouTube until Ctrl-C, to reproduce what a crawl met."""

from __future__ import annotations

import errno
import signal
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from manifests.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from miniyoutube.catalogue import Catalogue


class CatalogueName(StrEnum):
    """Which catalogue is served."""

    DEMO = "demo"
    BIG = "big"


def mini_youtube(
    catalogue: Annotated[
        CatalogueName, typer.Option(help="demo: a few dozen videos; big: thousands of listed ones.")
    ] = CatalogueName.DEMO,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one other than loopback is for containers that share a network.")
    ] = "127.0.0.1",
    n_videos: Annotated[int, typer.Option(help="Number of videos in the big catalogue.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the catalogue.")] = 0,
    behaviour: Annotated[str, typer.Option(help="List only the videos of one behaviour, e.g. short_media.")] = "",
    log: Annotated[Path | None, typer.Option(help="Write every request to this file as JSON lines.")] = None,
    list_videos: Annotated[bool, typer.Option("--list", help="Print every video and its behaviour.")] = False,
) -> None:
    """Serves generated videos on loopback the way YouTube does, for the real yt-dlp."""
    from miniyoutube.misbehave import BEHAVIOURS
    from miniyoutube.server import MiniYouTube

    if behaviour and behaviour not in BEHAVIOURS:
        raise UserError(f"no behaviour is called {behaviour!r}; choose from: {', '.join(sorted(BEHAVIOURS))}")
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    served = _catalogue(catalogue, n_videos, seed)
    console.print("drawing what is not in the cache yet …", style="dim")
    try:
        site = MiniYouTube(served, log_path=log, port=port, host=host).__enter__()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UserError(
            f"port {port} can't be opened: {error.strerror}; choose another with --port, or 0 for a free one"
        ) from error
    try:
        _print_videos(console, served, behaviour, list_videos)
        console.print(f"proxy: {site.proxy_url}")
        console.print(
            f"try:   yt-dlp --proxy {site.proxy_url} --no-check-certificates --no-cache-dir --flat-playlist "
            f"'ytsearch5:guitar lesson'"
        )
        _wait_for_signal()
    finally:
        site.__exit__(None, None, None)
        console.print(f"{len(site.log)} requests answered")


def _catalogue(name: CatalogueName, n_videos: int, seed: int) -> Catalogue:
    from miniyoutube.big_catalogue import a_catalogue
    from miniyoutube.demo import demo_catalogue
    from miniyoutube.misbehave import BEHAVIOURS

    if name is CatalogueName.DEMO:
        return demo_catalogue(seed)
    return a_catalogue(n_videos, seed=seed, behaviours=[name for name in BEHAVIOURS if name != "good"])


def _print_videos(console: Console, served: Catalogue, behaviour: str, list_all: bool) -> None:
    """Prints a line per video: those that misbehave, those of a behaviour, or all."""
    from miniyoutube.misbehave import BEHAVIOURS

    for video in served.videos:
        shown = (
            list_all
            or video.behaviour == behaviour
            or (not behaviour and video.behaviour != "good" and len(served.videos) < 100)
        )
        if shown:
            says = BEHAVIOURS[video.behaviour].says
            console.print(f"https://www.youtube.com/watch?v={video.video_id}  {video.behaviour}: {says}")


def _wait_for_signal() -> None:
    """Sleeps until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
