"""`hdvila-pipeline run`: everything, from sources to report."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.errors import UserError
from manifests.stages import ORDER
from pipeline.engine.run import clock
from pipeline.engine.run.drain import GRACE_S, StopRequest


def run(
    file: Annotated[Path, typer.Argument(help="The run's YAML; `hdvila-pipeline config` prints every key.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
    redo: Annotated[
        str, typer.Option(help=f"Repeat a stage and all that follow it: {', '.join(ORDER)}.", metavar="STAGE")
    ] = "",
    mix: Annotated[
        bool,
        typer.Option("--mix", help="Continue what another version made, with its settings; the manifest notes it."),
    ] = False,
    trust_ydl_opts: Annotated[
        bool, typer.Option("--trust-ydl-opts", help="Allow every yt-dlp option: some can run programs on this machine.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print quotas, requests and days; do nothing.")] = False,
    stop_after: Annotated[
        str, typer.Option(help="Stop after this time, with everything saved (exit 75).", metavar="2h|90m|45s")
    ] = "",
    grace: Annotated[
        float | None,
        typer.Option(
            help="Seconds that units in flight have to finish after SIGTERM or --stop-after; "
            f"{GRACE_S:.0f}, or a twentieth of --stop-after if that is less.",
            min=0,
        ),
    ] = None,
) -> None:
    """Runs everything: crawl, captions, balance, fetch, cuts, shards, report. Continues from what is committed."""
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.config.ydl_opts import TRUST

    began = clock.now()
    config = load_config(RunConfig, file, set_, context={TRUST: trust_ydl_opts})
    stop_after_s = seconds_of(stop_after)
    typer.echo(f"{file}: loading the pipeline", err=True)  # seconds, half a minute on a busy machine
    from pipeline.report.summary import print_summary
    from pipeline.run.dry_run import dry_run as lines
    from pipeline.run.road import run_pipeline

    if dry_run:
        print("\n".join(lines(config)))
        return
    grace_s = min(GRACE_S, stop_after_s / 20 if stop_after_s else GRACE_S) if grace is None else grace
    stop = StopRequest(grace_s=grace_s, stop_after_s=stop_after_s, since=began)
    delivered = run_pipeline(config, redo=redo, mix=mix, stop=stop)
    print_summary(delivered)
    raise typer.Exit(delivered.exit_code)


_SECONDS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(duration: str) -> float:
    """Seconds of a duration such as 2h, 90m or 45s; 0 for an empty text. Raises UserError for anything else."""
    if not duration:
        return 0.0
    number, unit = duration[:-1], duration[-1]
    if unit not in _SECONDS or not number.replace(".", "", 1).isdigit():
        raise UserError(f"--stop-after {duration}: write a number and a unit, such as 2h, 90m or 45s")
    return float(number) * _SECONDS[unit]
