"""`hdvila-train crossfit CONFIG --out DIR`: how well sentences fit, by models that have not seen their videos."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode
from train.commands.config import load_train_config


def crossfit(
    config: Annotated[Path, typer.Argument(help="The YAML by which both models are trained.")],
    out: Annotated[str, typer.Option("--out", help="Folder or address of runs, tables and the threshold.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
    batch: Annotated[int, typer.Option(help="Samples that a model embeds at once.", min=1)] = 16,
    sentences: Annotated[
        int, typer.Option(help="Sentences of other videos that a clip's own is compared with.", min=1)
    ] = 128,
) -> None:
    """Trains two models on halves of the videos; each scores the half that it did not see, so that a wrong pair that
    was learned by heart cannot hide. Prints the data.scores and data.where that leave out wrong pairs.

    The same command goes on after a stop or a kill.
    """
    settings, folder = load_train_config(config, overrides), out.rstrip("/")
    from train.crossfit import score_halves, train_halves
    from train.distributed import process_from_environment, process_group
    from train.loop.fit import StopRequest, launcher_pid, stop_on_signals

    process = process_from_environment(settings.loop.device)
    stop = StopRequest(launcher_pid=launcher_pid())
    with process_group(process):
        with stop_on_signals(stop):
            trained = train_halves(settings, folder, process, stop)
        if not trained:
            typer.echo(f"{folder}: stopped with a checkpoint; the same command continues")
            raise typer.Exit(ExitCode.DRAINED)
        found = score_halves(settings, folder, process, batch=batch, sentences=sentences)
    if process.is_first:
        typer.echo(found.describe())
