"""What a run reports: metrics.jsonl always, lines on the terminal, optionally TensorBoard.

One record per step:

    step epoch loss lr grad_norm                          the optimisation
    loss_NAME                                             each objective's own loss, before its weight
    temperature …                                         the model's own readings
    itm_without_partner …                                 what objectives counted in the step's rows of rank 0
    step_ms data_wait_share samples_per_s frames_per_s    the speed; data wait: the share of a step spent waiting for
                                                          its batch. On a GPU, means over observe.every steps, since
                                                          values are fetched only that often (fetching makes it wait)
    flops_per_step tflops_per_s mfu flops_source          the model's arithmetic: operators *counted* in a forward pass,
                                                          times three to include the backward pass. Recomputation and
                                                          the second forward pass of cached gradients don't count
    peak_memory_bytes lost                                the cost; samples replaced so far

Besides steps: `kind: eval` (scores), `skipped` (a step left out).

`mfu` is tflops_per_s (of a rank) over its device's peak, null if the peak isn't known (PEAK_TFLOPS_BF16).
"""

import importlib
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch.utils.flop_counter import FlopCounterMode

from manifests.errors import UserError
from manifests.time_left import left_in_words, seconds_left
from train.config import TrainConfig
from train.feed.batches import view_of
from train.loop.scalars import Unread
from train.models.base import Model
from train.models.wrapping import autocast
from train.rows import Rows
from train.sections import ObserveConfig
from train.whole_file import whole_file

FLOPS_SOURCE = "counted: forward operators x 3"

#: Dense bf16 peak of a GPU, TFLOP/s, by a part of its name (from the vendors' data sheets).
PEAK_TFLOPS_BF16 = {
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "A10G": 70.0,
    "L4": 121.0,
    "RTX 4090": 165.0,
    "V100": 125.0,  # fp16
}


@dataclass(frozen=True, slots=True)
class Step:
    """The record of an optimiser step; units as in the module's docstring."""

    step: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    step_ms: float
    data_wait_share: float
    samples_per_s: float
    frames_per_s: float
    flops_per_step: float
    tflops_per_s: float
    mfu: float | None
    flops_source: str
    peak_memory_bytes: int
    lost: int
    more: dict[str, float]
    """Losses by objective, the model's readings, and counts: each under its own name in the record."""

    def record(self) -> dict[str, Any]:
        """The step as a flat record."""
        flat = asdict(self)
        return {**flat, **flat.pop("more")}


def count_flops(model: Model, batch: Rows, config: TrainConfig) -> float:
    """FLOPs of a row's forward pass, counted on the operators that run for the first row of `batch`."""
    training = model.training
    model.eval()
    with torch.no_grad(), autocast(config.loop.precision, batch.device), FlopCounterMode(display=False) as counter:
        model(batch[:1])
    model.train(training)
    return float(counter.get_total_flops())


def peak_tflops(device: torch.device) -> float | None:
    """The device's peak, TFLOP/s; None if the table hasn't it."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_TFLOPS_BF16.items() if part in name), None)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far, in bytes: of the GPU, if any, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class Speed:
    """The mean speed over the steps between two reads of the device."""

    step_s: float
    wait_share: float
    """Share of the time that this process waited for a batch. Its device may have been busy with earlier steps."""


SAY_EVERY_S = 20.0
"""The longest that a run is silent while steps end."""


class Meter:
    """Measures steps: their seconds, the share spent waiting for data, and what is derived from these."""

    def __init__(
        self, config: TrainConfig, device: torch.device, world: int, epochs_done: Callable[[int], float]
    ) -> None:
        self._config, self._device, self._world, self._epochs_done = config, device, world, epochs_done
        self._peak = peak_tflops(device)
        self._n_pictures = view_of(config).n_pictures
        self._flops_per_clip = 0.0
        self._total_s = self._total_waited_s = 0.0
        self._n_read = 0
        self.restart()

    def restart(self) -> None:
        """Starts measuring the next step now."""
        self._start = self._ended = time.perf_counter()
        self._waited_s, self._n_steps = 0.0, 0

    def batch_arrived(self, model: Model, batch: Rows) -> None:
        """Counts the time since the last step's end as waiting. The first batch is used to count FLOPs."""
        self._waited_s += time.perf_counter() - self._ended
        if not self._flops_per_clip:
            self._flops_per_clip = count_flops(model, batch, self._config)

    def step_ended(self) -> None:
        """Ends a step (its work was given to the device); the next starts."""
        self._n_steps += 1
        self._ended = time.perf_counter()

    def read(self) -> Speed:
        """The mean speed of the steps since the last read. Fetch their values first, so that the device is done."""
        seconds = time.perf_counter() - self._start
        speed = Speed(seconds / max(self._n_steps, 1), self._waited_s / seconds)
        if self._n_read:  # the first read includes the start of the workers
            self._total_s, self._total_waited_s = self._total_s + seconds, self._total_waited_s + self._waited_s
        self._n_read += self._n_steps
        self.restart()
        return speed

    def describe_waiting(self) -> str:
        """One line of text: the share of time that all steps but the first ones waited for their data."""
        if not self._total_s:
            return "waited for data: not measured in one step"
        share = self._total_waited_s / self._total_s
        return f"waited for data {share:.1%} of {self._total_s:.0f} s of training, evaluation and checkpoints aside"

    def step(self, unread: Unread, loss: float, grad_norm: float, more: dict[str, float], speed: Speed) -> Step:
        """The record of a step, with the mean speed around it."""
        n_clips = self._config.loop.batch
        flops = 3 * self._flops_per_clip * n_clips
        tflops_per_s = flops / self._world / speed.step_s / 1e12
        return Step(
            step=unread.step,
            epoch=self._epochs_done(unread.step),
            loss=loss,
            lr=unread.lr,
            grad_norm=grad_norm,
            step_ms=1000 * speed.step_s,
            data_wait_share=speed.wait_share,
            samples_per_s=n_clips / speed.step_s,
            frames_per_s=n_clips * self._n_pictures / speed.step_s,
            flops_per_step=flops,
            tflops_per_s=tflops_per_s,
            mfu=tflops_per_s / self._peak if self._peak else None,
            flops_source=FLOPS_SOURCE,
            peak_memory_bytes=peak_memory_bytes(self._device),
            lost=unread.n_lost,
            more={**more, **unread.counts},
        )


class Recorder:
    """Writes the records of a run. Only rank 0's does; those of the other ranks (`run=None`) are silent."""

    def __init__(self, run: Path | None, config: ObserveConfig, from_step: int) -> None:
        self._config = config
        self._file: TextIO | None = None
        self._board: Any = None
        self._from_step = from_step
        self._started = self._said = time.monotonic()
        if run is None:
            return
        self._file = _continue_lines(run / "metrics.jsonl", from_step)
        if config.tensorboard:
            board = _optional("torch.utils.tensorboard", "tensorboard", "observe.tensorboard")
            self._board = board.SummaryWriter(str(run / "tensorboard"), purge_step=from_step)

    def step(self, record: Step, n_steps: int) -> None:
        """Writes a step's record. Every `observe.every` steps, at the first and last, and where nothing was said for
        SAY_EVERY_S, also reports it, with the time left.
        """
        if self._file is None:
            return
        flat = record.record()
        self._line({"kind": "step", **flat})
        is_late = time.monotonic() - self._said > SAY_EVERY_S
        if record.step % self._config.every and record.step not in (1, n_steps) and not is_late:
            return
        self.say(describe_step(record, n_steps) + f"  {self._left(record.step, n_steps)}".rstrip())
        self._point({k: v for k, v in flat.items() if isinstance(v, int | float)}, record.step)

    def _left(self, step: int, n_steps: int) -> str:
        """The time left in words, with evaluations and checkpoints as often as so far; "" at the end."""
        n_done, n_left = step - self._from_step, n_steps - step
        left_s = seconds_left(n_done / n_steps, n_left / n_steps, time.monotonic() - self._started)
        return left_in_words(left_s) if left_s else ""

    def say(self, text: str) -> None:
        """Prints a line."""
        self._said = time.monotonic()
        if self._file is not None:
            print(text, flush=True)

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """Writes an evaluation's scores."""
        if self._file is None:
            return
        self._line({"kind": "eval", "step": step, **scores})
        self._point({f"val/{name}": value for name, value in scores.items()}, step)

    def skipped(self, step: int, n_skipped: int) -> None:
        """Writes that a step was left out since its gradients were not finite, and how many have been."""
        if self._file is None:
            return
        self._line({"kind": "skipped", "step": step, "n_skipped": n_skipped})
        self.say(f"step {step}: gradients are not finite, left out ({n_skipped} so far); its keys are in nonfinite/")

    def _line(self, record: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def _point(self, values: dict[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Closes everything that is open."""
        for thing in (self._file, self._board):
            if thing is not None:
                thing.close()


def describe_step(r: Step, n_steps: int) -> str:
    """A step's record as one line of text."""
    mfu = f"  mfu {r.mfu:.1%}" if r.mfu is not None else ""
    terms = [f"{name.removeprefix('loss_')} {value:.4f}" for name, value in r.more.items() if name.startswith("loss_")]
    losses = f" ({', '.join(terms)})" if len(terms) > 1 else ""
    temperature = f"temp {r.more['temperature']:.3f}  " if "temperature" in r.more else ""
    return (
        f"step {r.step}/{n_steps}  epoch {r.epoch:.2f}  loss {r.loss:.4f}{losses}  lr {r.lr:.2e}  "
        f"grad {r.grad_norm:.2f}  {temperature}{r.step_ms:.0f} ms  {r.samples_per_s:.1f} clips/s  "
        f"wait {r.data_wait_share:.0%}  {r.tflops_per_s:.3g} TFLOP/s{mfu}  {r.peak_memory_bytes / 2**30:.2f} GiB"
    )


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Every record of a run, in order, except a line that was cut short when the run was killed."""
    lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").exists() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _continue_lines(path: Path, from_step: int) -> TextIO:
    """Opens the metrics file for appending; drops records past the step that a run resumes from, as they come again."""
    kept = [record for record in read_metrics(path.parent) if record.get("step", 0) <= from_step]
    with whole_file(path) as part:
        part.write_text("".join(json.dumps(record) + "\n" for record in kept))
    return path.open("a")


def _optional(module: str, package: str, key: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"{key} needs the package {package}: pip install {package}, or turn {key} off") from None
