"""`hdvila-train distill RUN --out DIR`: a smaller model that gives nearly the same answers."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode


def distill(
    run: Annotated[Path, typer.Argument(help="The folder of the trained model's run (hd_vila or vit, with towers).")],
    out: Annotated[str, typer.Option("--out", help="Folder of the student's run, export and table.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the student: --set a.b=c.")
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Learn from the best checkpoint by validation, not the newest.")
    ] = False,
) -> None:
    """Trains a student of half the width and three frames on what RUN's model holds to be alike, exports it as ONNX,
    and prints what both cost and find. Other sizes by --set model.width=… and the like.

    The same command goes on after a stop or a kill.
    """
    import onnxruntime  # noqa: F401  (that both are installed is to be known before the work)
    import onnxscript  # noqa: F401

    from train.distill import compare, embedded, student_of, table
    from train.distributed import process_from_environment, process_group
    from train.exports.inference import load_checkpoint
    from train.loop.fit import StopRequest, fit, launcher_pid, stop_on_signals

    folder = out.rstrip("/")
    teacher = load_checkpoint(run, best=best)
    settings = student_of(run, folder, teacher, overrides or [])
    process, stop = process_from_environment(settings.loop.device), StopRequest(launcher_pid=launcher_pid())
    heads = {"teacher": embedded(teacher, settings, f"{folder}/teacher", process.device)}
    with process_group(process), stop_on_signals(stop):
        outcome = fit(settings, process, stop)
    if outcome.status == "stopped":
        typer.echo(f"{folder}: stopped with a checkpoint; the same command continues")
        raise typer.Exit(ExitCode.DRAINED)
    if process.is_first:
        pupil = load_checkpoint(Path(settings.out))
        heads["pupil"] = embedded(pupil, settings, f"{folder}/pupil", process.device)
        typer.echo(table(compare(teacher, settings, folder, heads)))
