"""`hdvila-train adapt RUN MANIFEST --out DIR`: a trained model learns clips of another kind."""

from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode


def adapt(
    run: Annotated[Path, typer.Argument(help="The folder of the trained model's run (hd_vila or vit, with towers).")],
    manifest: Annotated[str, typer.Argument(help="The new clips: manifest.json or its folder, a path or a url.")],
    out: Annotated[str, typer.Option("--out", help="Folder of the run, the export and the scores.")],
    old: Annotated[
        str, typer.Option(help="Clips to see what it forgets: a manifest; '': those it was trained on.")
    ] = "",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
) -> None:
    """Adapts a trained model to other clips: a vit by low-rank additions (LoRA), an HD-VILA by the last blocks of its
    towers. Prints R@1 on the new clips and on the old before and after.

    The same command goes on after a stop or a kill.
    """
    from manifests.settings import load_config
    from train.adapt import adapt as adapt_run
    from train.adapt import adapted_run
    from train.config import TrainConfig
    from train.distributed import process_from_environment, process_group
    from train.loop.fit import StopRequest, launcher_pid, stop_on_signals

    folder = out.rstrip("/")
    settings = adapted_run(run, manifest, folder, overrides or [])
    known = old or load_config(TrainConfig, run / "config.yaml").data.manifest
    process, stop = process_from_environment(settings.loop.device), StopRequest(launcher_pid=launcher_pid())
    with process_group(process), stop_on_signals(stop):
        recalled = adapt_run(run, settings, folder, known, process, stop)
    if recalled is None:
        typer.echo(f"{folder}: stopped with a checkpoint; the same command continues")
        raise typer.Exit(ExitCode.DRAINED)
    if process.is_first:
        typer.echo("\n".join(line.describe() for line in recalled))
