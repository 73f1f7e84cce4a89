"""`hdvila-pipeline debug`: a unit of a stage in this process."""

from pathlib import Path
from typing import Annotated

import typer


def debug(
    file: Annotated[Path, typer.Argument(help="The run's YAML.")],
    stage: Annotated[str, typer.Argument(help="A stage with units, such as extract, transcripts, clips or media.")],
    unit: Annotated[str, typer.Argument(help="The unit's name: for media, the video's id.")],
    set_: Annotated[list[str], typer.Option("--set", help="Override a key: --set a.b=c.")] = [],  # noqa: B006
) -> None:
    """Runs one unit of a stage in this process, with a stack trace if it fails. Nothing is committed."""
    import traceback
    from collections import Counter

    from manifests.exits import ExitCode
    from manifests.settings import load_config
    from pipeline.config import RunConfig
    from pipeline.engine.work.unit import PlaceFailed, Rejected, StopRun, Transient
    from pipeline.run.debug import debug_unit
    from pipeline.run.session import open_store

    config = load_config(RunConfig, file, set_)
    try:
        made = debug_unit(config, open_store(config), stage, unit)
    except (Rejected, Transient, StopRun, PlaceFailed) as verdict:
        traceback.print_exc()
        print(f"{stage}:{unit}: {type(verdict).__name__}: {verdict}")
        raise typer.Exit(ExitCode.INCOMPLETE) from None
    rows = ", ".join(f"{len(rows)} {table}" for table, rows in made.output.rows.items()) or "no rows"
    files = ", ".join(made.output.files) or "no files"
    print(f"{stage}:{unit}: {made.seconds:.2f} s; {rows}; {files}")
    for reject in made.output.rejects:
        print(f"rejected: {reject.clip_id or reject.video_id}: {reject.reason.value}: {reject.detail}")
    reasons = Counter(reject.reason.value for reject in made.output.rejects)
    raise typer.Exit(ExitCode.INCOMPLETE if reasons["internal_error"] else ExitCode.OK)
