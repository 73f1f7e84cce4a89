"""`hdvila-pipeline demo`: the main job on the embedded mini-YouTube."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.engine.run.progress import log


def demo(
    out: Annotated[Path, typer.Option(help="Output directory; a second run continues from what is there.")] = Path(
        "out/demo"
    ),
    file: Annotated[
        Path | None, typer.Option("--config", help="YAML to use instead of the demo's own settings.")
    ] = None,
    n_videos: Annotated[int, typer.Option(help="Serve only this many of the demo's videos; 0: all.")] = 0,
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
) -> None:
    """Starts a small YouTube on loopback and runs the whole pipeline on it: real yt-dlp, real cuts, a local Ray."""
    log.info("a small YouTube starts on this machine, then a run that crawls it; %s holds what comes out", out)
    from miniyoutube.demo import demo_catalogue, demo_config, pointed_at, some_of
    from miniyoutube.server import MiniYouTube
    from pipeline.report.summary import print_summary
    from pipeline.run.road import run_pipeline

    config = demo_config(out, file, set_)
    with MiniYouTube(some_of(demo_catalogue(), n_videos)) as site:
        delivered = run_pipeline(pointed_at(site, config))  # its port is new each time, but no identity key
    print_summary(delivered)
    raise typer.Exit(delivered.exit_code)
