"""`hdvila-train eval CONFIG_OR_RUN`: retrieval scores of a checkpoint."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    target: Annotated[Path, typer.Argument(help="a run's folder, one of its checkpoints/step-*, or the run's YAML")],
    best: Annotated[bool, typer.Option("--best", help="the best checkpoint by validation, not the newest")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the scores as JSON")] = False,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="a key of the YAML to replace: a.b=c")] = None,
) -> None:
    """Text-to-video and video-to-text retrieval on the val split, beside chance."""
    from train.distributed import place_from_environment, process_group
    from train.loop import evaluate_run

    place = place_from_environment()
    with process_group(place):
        scores, checkpoint = evaluate_run(target, place, best=best, overrides=overrides)
    if place.is_first:
        text = json.dumps(scores.flat(), indent=2) if as_json else f"{checkpoint}\n{scores.describe()}"
        typer.echo(text)
