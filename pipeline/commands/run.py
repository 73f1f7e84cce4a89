"""`hdvila-pipeline run`: everything, from sources to report."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.stages import ORDER


def run(
    file: Annotated[Path, typer.Argument(help="The run's YAML; `hdvila-pipeline config` prints every key.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    redo: Annotated[
        str, typer.Option(help=f"Do a stage and all that follow again: {', '.join(ORDER)}.", metavar="STAGE")
    ] = "",
    mix: Annotated[
        bool, typer.Option("--mix", help="Go on with what another version of a stage made; the manifest says so.")
    ] = False,
    trust_ydl_opts: Annotated[
        bool, typer.Option("--trust-ydl-opts", help="Take any option of yt-dlp: they can run programs on this machine.")
    ] = False,
) -> None:
    """Crawls, reads, balances, fetches, cuts, shards; goes on from what is committed."""
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST
    from pipeline.report.summary import print_summary
    from pipeline.run.road import run_pipeline

    config = load_config(RunConfig, file, set_, context={TRUST: trust_ydl_opts})
    delivered = run_pipeline(config, redo=redo, mix=mix)
    print_summary(delivered)
    raise typer.Exit(delivered.exit_code)
