"""`hdvila-train fit CONFIG`: trains, or continues a run that was stopped."""

import os
from pathlib import Path
from typing import Annotated

import typer

from manifests.exits import ExitCode
from train.commands.config import load_train_config


def fit(
    config: Annotated[Path, typer.Argument(help="The run's YAML; `hdvila-train config --schema` lists its keys.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a key: --set a.b=c.")] = None,
) -> None:
    """Trains as CONFIG says. A run folder that holds checkpoints is continued from the newest.

    On SIGTERM or Ctrl-C a checkpoint is written first; the same command then continues from it.
    """
    if os.environ.get("RANK", "0") == "0":  # loading torch alone takes seconds, half a minute on a busy machine
        typer.echo(f"{config}: loading the trainer", err=True)
    settings = load_train_config(config, overrides)
    from train.distributed import process_from_environment, process_group
    from train.loop.fit import StopRequest, launcher_pid, stop_on_signals
    from train.loop.fit import fit as run_fit

    process = process_from_environment(settings.loop.device)
    stop = StopRequest(launcher_pid=launcher_pid())
    with stop_on_signals(stop), process_group(process):
        outcome = run_fit(settings, process, stop)
    if outcome.status == "stopped":
        if process.is_first:
            typer.echo(
                f"stopped after step {outcome.step} of {outcome.n_steps} with a checkpoint; the same command continues"
            )
        raise typer.Exit(ExitCode.DRAINED)
