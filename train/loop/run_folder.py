"""The folder of a run: its lock, whether the run may continue with a configuration, and the mark of a stopped run.

RUN/run.lock    locked (flock) by the first rank while it runs, and released with the process; names the process. An
                address in a bucket has none
RUN/changes.jsonl   each identity key that was changed when the run went on: after which step, the key, both values
RUN/requeue     exists while the run is stopped on request: a scheduler's script starts the run again if it is there
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from manifests.errors import UserError
from manifests.files import Files
from manifests.settings import identity_values, load_config, read_yaml
from train.config import TrainConfig
from train.distributed import Process, agree
from train.loop.bucket import Home, at_address
from train.loop.checkpoint import checkpoints, read_facts
from train.whole_file import whole_file

LOCK, REQUEUE, CHANGES = "run.lock", "requeue", "changes.jsonl"
CHANGEABLE = ("optim.lr", "optim.lr_scale")
"""Identity keys that a run may change when it goes on, as after a step that was not finite; it is written down."""


@contextmanager
def opened(out: str, process: Process) -> Iterator[Home]:
    """Opens a run's folder, or its address in a bucket. UserError if another run holds the folder."""
    if "://" in out:
        with at_address(out, process) as home:
            yield home
        return
    folder = Path(out)
    with held(folder, process):
        yield Home(folder, Files(str(folder.absolute())))


@contextmanager
def held(folder: Path, process: Process) -> Iterator[None]:
    """Locks the folder for the block's duration. UserError on all ranks if another run holds it."""
    problem, descriptor = "", -1
    if process.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        problem = _lock(descriptor, folder)
    try:
        agree(problem)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> str:
    """Takes the lock; returns "", or a message about who holds it. On a file system without locks no run is refused."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        return f"{folder}: is being trained by {holder}; wait for it, stop it, or give another folder (--set out=...)"
    except OSError:
        return ""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return ""


def claim(home: Home, config: TrainConfig, process: Process) -> None:
    """Writes RUN/config.yaml. UserError if the run there has checkpoints and its identity keys differ.

    A finished run may be given more steps or epochs: it continues from its end. Any may be given another learning rate.
    Both are printed, and RUN/changes.jsonl tells them.
    """
    folder, path = home.here, home.here / "config.yaml"
    done = checkpoints(home.place)
    if path.exists() and done:
        before = {key: value for key, (value, _) in identity_values(load_config(TrainConfig, path)).items()}
        before["plugins"] = read_yaml(path).get("plugins", {})  # with the versions of that time
        now = {key: value for key, (value, _) in identity_values(config).items()}
        changed = {key: (before.get(key), now[key]) for key in now if before.get(key) != now[key]}
        _refuse_other_fixed(done[-1], config)
        others = {key: values for key, values in changed.items() if key not in CHANGEABLE}
        if others and not _only_longer(folder, done[-1], others):
            lines = [f"{key}: {old} there, {new} here" for key, (old, new) in others.items()]
            raise UserError(
                f"{config.out}: holds a run with another configuration:\n  " + "\n  ".join(lines) + "\n"
                "give another folder (--set out=...), or the old values to go on with it"
            )
        if changed and process.is_first:
            _write_down(folder, done[-1], changed)
            if others and config.optim.schedule != "constant":
                print(
                    "warning: this run's schedule had ended and is stretched: its learning rate rises again", flush=True
                )
    if process.is_first:
        with whole_file(path) as part:
            part.write_text(yaml.safe_dump(config.record(), sort_keys=False))
        (folder / REQUEUE).unlink(missing_ok=True)
        home.place.delete(REQUEUE)


def _write_down(folder: Path, newest: Files, changed: dict[str, tuple[Any, Any]]) -> None:
    step = read_facts(newest).step
    with (folder / CHANGES).open("a") as file:
        for key, (old, new) in changed.items():
            print(f"{key} {old} → {new} from step {step + 1} on", flush=True)
            file.write(json.dumps({"after_step": step, "key": key, "from": old, "to": new}) + "\n")


def _refuse_other_fixed(checkpoint: Files, config: TrainConfig) -> None:
    """UserError if the checkpoint is of a version of this program that has other constants."""
    before, now = read_facts(checkpoint).fixed, json.loads(json.dumps(config.fixed_values()))
    lines = [
        f"{key}: {before.get(key)} there, {now.get(key)} here"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if lines:
        raise UserError(
            f"{checkpoint}: was trained with other constants than this version's:\n  " + "\n  ".join(lines) + "\n"
            "go on with the version that began it, or give another folder (--set out=...)"
        )


def _only_longer(folder: Path, newest: Files, changed: dict[str, tuple[Any, Any]]) -> bool:
    """Whether the run is finished, and only `loop.steps` or `loop.epochs` changed, to more."""
    longer = all(key in ("loop.steps", "loop.epochs") and new > old for key, (old, new) in changed.items())
    try:
        summary = json.loads((folder / "summary.json").read_text())
        return longer and summary["status"] == "finished" and summary["step"] == read_facts(newest).step
    except (OSError, ValueError, KeyError, TypeError):
        return False


def mark_requeue(folder: Path, step: int, n_steps: int) -> None:
    """Writes the mark that the run was stopped with a checkpoint and should be started again."""
    with whole_file(folder / REQUEUE) as part:
        part.write_text(json.dumps({"step": step, "n_steps": n_steps}) + "\n")
