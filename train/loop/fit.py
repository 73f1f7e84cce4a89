"""A training run from its configuration to its last checkpoint; read it from top to bottom.

    hdvila-train fit train.yaml                                   one process
    torchrun --nproc-per-node 8 -m train.cli fit CONFIG           DDP or FSDP2

    RUN/config.yaml  metrics.jsonl  tensorboard/  checkpoints/step-*/  tokenizer/  summary.json  requeue (run_folder.py)
        lost.jsonl (samples replaced)  poisoned.txt (samples that crash the decoder)  nonfinite/ (keys of such batches)
        profile/ (a trace)

`fit` on a folder that holds checkpoints continues from the newest. What a step computes depends only on (config,
manifest, step): batches are chosen by position, augmentation and dropout are seeded from the step. So a run that is
killed anywhere and resumed gives the same losses and weights, bit for bit on a CPU.
"""

import json
import math
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from manifests.errors import UserError
from manifests.terminal import heeding
from train.config import TrainConfig
from train.data.plan import mix
from train.distributed import Process, agree, from_first, whole
from train.evaluation.benchmark import BenchmarkOptions
from train.evaluation.evaluate import evaluate
from train.evaluation.held_out import no_val
from train.evaluation.published import Published, PublishedScores, encoder_of_run, published_of, score_published
from train.evaluation.scores import Scores
from train.feed.batches import Batches, TrainData, choose_source, open_data
from train.loop import nonfinite, observe, run_folder
from train.loop.bucket import Home
from train.loop.checkpoint import Checkpointer, Facts, capture, checkpoints, read_facts, restore
from train.loop.objective import Loss, backward, mark_trainable
from train.loop.optim import build_optimizer, clip_gradients, lr_factor, set_lr
from train.loop.pinned import pinned_manifest
from train.loop.profile import Profiler
from train.loop.scalars import Read, Scalars, Unread
from train.models.base import Model
from train.models.registry import build_model
from train.models.wrapping import Strategy, ranks_a_node, tune, unwrap, wrap


@dataclass(slots=True)
class StopRequest:
    """A request to end the loop after the current step.

    A signal sets it. It is also due once the torchrun that started this rank has died: otherwise the ranks would train
    on and hold the folder's lock, with nothing left to watch or restart them.
    """

    requested: bool = False
    launcher_pid: int = 0
    """Process id of the torchrun that is this process's parent; 0 for none."""

    def is_due(self) -> bool:
        """Whether the loop should end after this step."""
        return self.requested or (self.launcher_pid > 0 and os.getppid() != self.launcher_pid)


def launcher_pid() -> int:
    """The process id of the torchrun that started this rank; 0 without torchrun."""
    return os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `stopped`: on request and with a checkpoint, so that it can be resumed."""

    status: Literal["finished", "stopped"]
    step: int
    n_steps: int
    scores: dict[str, float]
    scores_step: int
    """The step that `scores` are of; 0 if there are none."""


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run, built once by `fit`."""

    home: Home
    config: TrainConfig
    process: Process
    data: TrainData
    n_steps: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    checkpointer: Checkpointer
    benchmark: Published | None

    @property
    def folder(self) -> Path:
        """The folder in which it works."""
        return self.home.here

    @property
    def held_out(self) -> bool:
        """Whether there is something to evaluate on."""
        return self.benchmark is not None or self.data.val is not None


def fit(config: TrainConfig, process: Process, stop: StopRequest) -> Outcome:
    """Trains as the configuration says. Raises UserError for what the user can fix."""
    with run_folder.opened(config.out, process) as home:
        run_folder.claim(home, config, process)
        outcome = _fit(config, home, process, stop)
        if process.is_first and outcome.status == "stopped":
            run_folder.mark_requeue(home.here, outcome.step, outcome.n_steps)
    return outcome


def _fit(config: TrainConfig, home: Home, process: Process, stop: StopRequest) -> Outcome:
    if config.loop.threads:
        torch.set_num_threads(config.loop.threads)

    folder = home.here
    data = open_pinned(config, home, process)
    benchmark = published_of(config, folder / "index")
    unscored = "" if benchmark is not None else no_val(config, data)
    if unscored and config.data.val_split != type(config.data).model_fields["val_split"].default:
        raise UserError(unscored)
    n_steps = config.loop.steps or math.ceil(config.loop.epochs * data.epoch_length / config.loop.batch)
    model = first_model(config, process, resuming=bool(checkpoints(home.place)))
    say(process, describe_run(config, data, model, n_steps, process))
    if unscored:
        say(process, f"warning: the run will not be scored: {unscored}")
    strategy = strategy_of(config, process)
    tune(model, config.loop, strategy)
    per_node = ranks_a_node() if config.loop.shard == "node" else 0
    wrapped = wrap(model, strategy, bf16=config.loop.precision == "bf16", per_node=per_node)
    optimizer = build_optimizer(wrapped, config.optim)
    writer = Checkpointer(home.place, process, keep=config.checkpoint.keep)
    run = Run(home, config, process, data, n_steps, wrapped, optimizer, writer, benchmark)

    done, scores = resume(run)
    recorder = observe.Recorder(folder if process.is_first else None, config.observe, done)
    try:
        outcome = train(run, recorder, done, scores, stop)
    finally:
        writer.finish()
        recorder.close()
    if process.is_first:
        (folder / "summary.json").write_text(json.dumps(asdict(outcome), indent=2) + "\n")
    return outcome


def train(run: Run, recorder: observe.Recorder, done: int, scores: dict[str, float], stop: StopRequest) -> Outcome:
    """Runs the steps after the first `done` ones, until the end or a stop request."""
    config, process, model, optimizer = run.config, run.process, run.model, run.optimizer
    batches = Batches(run.data, config, run.folder, process)
    scalars = Scalars(process.device, config.observe.every)
    first, scores_step = done, done if scores else 0
    meter = observe.Meter(config, process.device, process.world, run.data.stream.epochs_done)
    skipped = nonfinite.Skipped(run.folder, process, model, wanted=config.loop.nonfinite == "skip")
    model.train()
    profiler = Profiler(run.folder, process, config.observe.profile, recorder.say)
    for step, batch, loaded in profiler.around(batches.steps(done, run.n_steps)):
        meter.batch_arrived(unwrap(model), batch)

        # Dropout and stochastic depth are seeded from (seed, step, rank), so a checkpoint needs no random state.
        torch.manual_seed(int(mix(config.seed, step, process.rank)) >> 1)
        lr = set_lr(optimizer, lr_factor(step, run.n_steps, config.optim))
        skipped.begin()
        losses = backward(model, batch, config, check=step == first)
        grad_norm = clip_gradients(model, config.optim.clip_norm)
        done = step + 1
        if skipped.skips(done, losses.total, grad_norm, loaded.keys):
            recorder.skipped(done, skipped.n)
        else:
            optimizer.step()
            unwrap(model).after_step()
            values = {"loss": losses.total, "grad_norm": grad_norm, **numbers_of(model, losses)}
            scalars.add(Unread(done, lr, loaded.keys, batches.n_lost, dict(batches.counts), values))
        optimizer.zero_grad(set_to_none=True)
        meter.step_ended()
        if scalars.due(done):
            record(run, recorder, meter, scalars.read())
        last, stopping = done == run.n_steps, any_rank(stop.is_due(), process)
        evaluating = run.held_out and (last or (due(done, config.eval.every) and not stopping))
        saving = evaluating or last or stopping or due(done, config.checkpoint.every)
        if saving:
            record(run, recorder, meter, scalars.read())  # before the checkpoint: it stops at values that aren't finite
        if evaluating:
            scores, scores_step = validate(run, recorder, done).flat(), done
        if saving:
            if process.is_first:
                run.home.copy()  # beside a checkpoint at least what was written up to it
            run.checkpointer.save(capture(model, optimizer), facts_of(run, done, scores if evaluating else {}))
            meter.restart()  # the time spent here doesn't count for the next step
        run.checkpointer.poll()
        if stopping:
            break
    run.checkpointer.wait()
    recorder.say(meter.describe_waiting())
    return Outcome("finished" if done == run.n_steps else "stopped", done, run.n_steps, scores, scores_step)


# ---- before the first step -------------------------------------------------------------------------------------------


def strategy_of(config: TrainConfig, process: Process) -> Strategy:
    """The configured strategy; auto means ddp for several processes. UserError for none with several."""
    if config.loop.strategy == "auto":
        return "ddp" if process.world > 1 else "none"
    if config.loop.strategy == "none" and process.world > 1:
        raise UserError(f"loop.strategy: none trains one process, {process.world} were started; set it to ddp or fsdp2")
    return config.loop.strategy


def open_pinned(config: TrainConfig, home: Home, process: Process) -> TrainData:
    """The data of the newest checkpoint's manifest, or of that at data.manifest if there is no checkpoint."""
    folders = checkpoints(home.place)
    pin = (read_facts(folders[-1]).manifest_sha256, f"{folders[-1]} was trained on") if folders else ("", "")
    return open_data(config, home.here, process, pinned_manifest(config, process, *pin))


def resume(run: Run) -> tuple[int, dict[str, float]]:
    """Loads the run's newest checkpoint; returns (steps done, its scores), or (0, {}) if there is none."""
    folders = checkpoints(run.home.place)
    if not folders:
        return 0, {}
    facts = restore(folders[-1], run.model, run.optimizer)
    if facts.index_fingerprint != run.data.train.fingerprint():
        raise UserError(
            f"{folders[-1]}: the set of readable shards has changed since this checkpoint, so the sample order would "
            "differ; restore the missing shards. Unreadable now:\n  "
            + ("\n  ".join(run.data.train.bad_shards) or "none")
        )
    say(run.process, f"resuming after step {facts.step} of {run.n_steps}")
    return facts.step, facts.scores


def first_model(config: TrainConfig, process: Process, *, resuming: bool) -> Model:
    """The model with its initial weights on this process's device; only what the run's objectives reach is trainable.

    Only the first rank reads the sources of weights; the others get its tensors. A resuming run reads none of them,
    because its weights come from the checkpoint.
    """
    plain = config.model.without_sources()
    problem, model = "", None
    try:
        model = build_model(config.model if process.is_first and not resuming else plain, seed=config.seed)
    except UserError as error:
        problem = str(error)
    agree(problem)
    assert model is not None
    model = model.to(process.device)
    from_first(model)
    mark_trainable(model, config)
    return model


def describe_run(config: TrainConfig, data: TrainData, model: Model, n_steps: int, process: Process) -> str:
    """A few lines of text about what is about to be trained."""
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = ", ".join(f"{part}: {source}" for part, source in model.weight_sources.items())
    bad = f", {len(data.train.bad_shards)} unreadable shards left out" if data.train.bad_shards else ""
    return (
        f"{model.title()}: {n_parameters / 1e6:.1f} M trained parameters ({weights})\n"
        f"{len(data.train)} clips in {len(data.train.shards)} shards ({data.source}{bad}), "
        f"{len(data.val) if data.val is not None else 0} for validation\n"
        f"{n_steps} steps of {config.loop.batch} clips ({n_steps * config.loop.batch / data.epoch_length:.1f} epochs), "
        f"{process.world} x {process.device.type}, {config.loop.precision}, run folder {config.out}"
    )


def say(process: Process, text: str) -> None:
    """Prints on rank 0."""
    if process.is_first:
        print(text, flush=True)


# ---- at a step -------------------------------------------------------------------------------------------------------


def numbers_of(model: nn.Module, losses: Loss) -> dict[str, torch.Tensor | float]:
    """Each objective's loss and the model's own readings. All ranks call it together, since readings may be sharded."""
    readings = {name: whole(x) if isinstance(x, torch.Tensor) else x for name, x in unwrap(model).readings().items()}
    return {**{f"loss_{name}": x for name, x in losses.terms.items()}, **readings}


def record(run: Run, recorder: observe.Recorder, meter: observe.Meter, steps: list[Read]) -> None:
    """Records steps whose values were fetched. UserError at one that isn't finite, before a checkpoint contains it."""
    if not steps:
        return
    speed = meter.read()
    for step in steps:
        values = dict(step.values)
        loss, grad_norm = values.pop("loss"), values.pop("grad_norm")
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            nonfinite.stop(run.folder, run.process, step.unread.step, loss, grad_norm, step.unread.keys)
        recorder.step(meter.step(step.unread, loss, grad_norm, values, speed), run.n_steps)


def due(step: int, every: int) -> bool:
    """Whether something that is done every `every` steps (0: never) is due."""
    return every > 0 and step % every == 0


def any_rank(flag: bool, process: Process) -> bool:
    """Whether the flag is set on any rank: all of them must leave the loop at the same step."""
    if process.world == 1:
        return flag
    total = torch.tensor(float(flag))  # on the CPU: no rank waits for its GPU
    dist.all_reduce(total)
    return bool(total.item())


def validate(run: Run, recorder: observe.Recorder, step: int) -> Scores | PublishedScores:
    """The scores on the benchmark or the val split."""
    recorder.say(f"step {step}: evaluating")
    scores = scores_of(run.model, run.data, run.config, run.process, run.benchmark)
    recorder.scores(step, scores.flat())
    recorder.say(scores.describe())
    return scores


def scores_of(
    model: nn.Module, data: TrainData, config: TrainConfig, process: Process, benchmark: Published | None
) -> Scores | PublishedScores:
    """The scores of a model on the benchmark of its run, or on the val split if it has none."""
    if benchmark is None:
        assert data.val is not None
        return evaluate(model, data.val, data.tokenizer, config, process, choose_source(config, data.val))
    was_training = model.training
    options = BenchmarkOptions(batch=config.eval.batch, workers=config.data.workers)
    encoder = encoder_of_run(model, data.tokenizer, config, data.classes)
    scores = score_published(encoder, benchmark, options, process)
    model.train(was_training)
    return scores


def facts_of(run: Run, step: int, scores: dict[str, float]) -> Facts:
    """The facts to store beside a checkpoint's tensors."""
    return Facts(
        step=step,
        manifest_sha256=run.data.manifest.sha256,
        index_fingerprint=run.data.train.fingerprint(),
        config=run.config.record(),
        world=run.process.world,
        scores=scores,
        versions={"python": platform.python_version(), "torch": torch.__version__},
        fixed=run.config.fixed_values(),
    )


@contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """Makes SIGTERM, a closed terminal and the first Ctrl-C request a stop with a checkpoint; a second Ctrl-C
    interrupts at once.
    """

    def ask(number: signal.Signals) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with heeding(ask, signal.SIGINT):
        yield
