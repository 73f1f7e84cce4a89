"""What training costs on this machine's GPUs: every model, bf16, compiled, sharded, and a resume, in some ten minutes.

    make gpu                                        # or: python -m bench.gpu --out out/gpu; ends with OUT/gpu.md

Each case is a short run of the trainer on drawn clips, in processes of its own: what one costs in memory, or how it
fails, is no other's. Without a GPU the same cases run at toy size on the CPU, so that the road is known to work; the
page then says so, and its speeds mean nothing. Exits with 1 if a case failed.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from hdvila_testing.drawn_set import MICRO_MODEL, a_tree, write_dataset
from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.fit import StopRequest, fit
from train.models.registry import MODELS

TEN_MINUTES_S = 600
OBJECTIVES = {
    "soho": {"contrastive": 0.0, "mlm": 1.0, "itm": 1.0, "mvm": 1.0},
    "visual_parsing": {"contrastive": 0.0, "mlm": 1.0, "itm": 1.0, "mfr": 1.0},
}
"""Losses of the kinds that have no towers; others take the trainer's own."""
SAME_LOSS = 1e-2
"""Largest relative difference of the last loss after a resume on a GPU, whose sums have no fixed order."""


@dataclass(frozen=True)
class Case:
    """A run: its name on the page, sections of its configuration, and the ranks that it takes."""

    name: str
    sections: dict[str, dict[str, Any]]
    n_ranks: int = 1
    is_resumed: bool = False


@dataclass(frozen=True)
class Result:
    """What a run showed. `problem`: the last line of its log if it failed."""

    case: str
    wall_s: float
    problem: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    remark: str = ""

    def row(self) -> str:
        """Its line in the page's table."""
        if self.problem:
            return f"| {self.case} | FAILED: {self.problem} | | | | | | {self.wall_s:.0f} |"
        late = self.steps[len(self.steps) // 2 :]
        speed, wait, step_ms = (_median(late, name) for name in ("samples_per_s", "data_wait_share", "step_ms"))
        mfu = "?" if late[-1]["mfu"] is None else f"{_median(late, 'mfu'):.0%}"
        memory = max(step["peak_memory_bytes"] for step in late) / 2**30
        losses = f"{self.steps[0]['loss']:.3f} to {self.steps[-1]['loss']:.3f}{self.remark}"
        cells = (losses, f"{speed:.1f}", f"{step_ms:.0f}", f"{wait:.0%}", mfu, f"{memory:.1f}", f"{self.wall_s:.0f}")
        return f"| {self.case} | {' | '.join(cells)} |"


def _median(steps: list[dict[str, Any]], name: str) -> float:
    return statistics.median(step[name] for step in steps)


def cases(n_gpus: int) -> list[Case]:
    """The runs, the cheapest proof of each path first; at toy size without a GPU."""
    main = {"preset": "hd_vila_base"} if n_gpus else dict(MICRO_MODEL)
    largest = {} if n_gpus else dict(MICRO_MODEL)
    bf16 = {"precision": "bf16"}
    found = [
        Case("hd_vila_base, bf16", {"model": main, "loop": bf16}),
        Case("the same in fp32", {"model": main}),
        Case("the same, compiled", {"model": main, "loop": {**bf16, "compile": True}}),
        Case("the same, FSDP2", {"model": main, "loop": {**bf16, "strategy": "fsdp2"}}, n_gpus or 2),
        Case("the same, resumed half-way", {"model": main, "loop": bf16}, is_resumed=True),
        Case(
            "hd_vila, stage 2, bf16",
            {
                "model": {**largest, "stage": 2, "gradient_checkpointing": True},
                "objective": {"mlm": 1.0},
                "loop": bf16,
            },
        ),
    ]
    for kind in MODELS:
        if kind != "hd_vila":
            model = {"kind": kind, **({} if n_gpus else {"preset": "tiny"})}
            found.append(Case(f"{kind}, bf16", {"model": model, "objective": OBJECTIVES.get(kind, {}), "loop": bf16}))
    return found


def measure(case: Case, manifest: Path, out: Path, *, n_gpus: int, limit_s: float) -> Result:
    """Runs a case within `limit_s`, in processes of its own."""
    started = time.monotonic()
    run, log = out / "run", out / "log"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tree = _tree(case, manifest, run, n_gpus)
    problem = _train(tree, case.n_ranks, log, limit_s)
    steps = [] if problem else _steps(run)
    remark = ""
    if case.is_resumed and not problem:
        last = max((run / "checkpoints").glob("step-*"))
        shutil.rmtree(last)
        left_s = limit_s - (time.monotonic() - started)
        problem = _train(tree, case.n_ranks, log, left_s)
        whole, again = steps[-1]["loss"], _steps(run)[-1]["loss"]
        remark = f", resumed: {again:.3f}"
        if not problem and not last.is_dir():
            problem = "did not go on after a resume"
        if not problem and abs(again - whole) > (SAME_LOSS * abs(whole) if n_gpus else 0):
            problem = f"the last loss is {again} after a resume and {whole} without"
    return Result(case.name, time.monotonic() - started, problem, steps, remark)


def _tree(case: Case, manifest: Path, run: Path, n_gpus: int) -> dict[str, Any]:
    n_steps, batch = (30, 16 * case.n_ranks) if n_gpus else (2, 4)
    common: dict[str, dict[str, Any]] = {
        "data": {"workers": min(8, os.cpu_count() or 1) if n_gpus else 0},
        "loop": {"steps": n_steps, "batch": batch, "device": "cuda" if n_gpus else "cpu"},
        "checkpoint": {"every": n_steps // 2, "keep": 2},
    }
    if n_gpus:
        common["loop"]["threads"] = 0
    sections = {name: {**common.get(name, {}), **case.sections.get(name, {})} for name in {*common, *case.sections}}
    tree = a_tree(manifest, run, **{name: keys for name, keys in sections.items() if name != "model"})
    return {**tree, "model": case.sections["model"]}


def _train(tree: dict[str, Any], n_ranks: int, log: Path, limit_s: float) -> str:
    """Trains in `n_ranks` processes; returns what was wrong, "" if nothing."""
    # Forked from a server that has torch loaded and has never touched a GPU.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.loop.fit"])
    meeting = log.with_name("meeting")
    meeting.unlink(missing_ok=True)
    ranks = [context.Process(target=_rank, args=(tree, rank, n_ranks, log, meeting)) for rank in range(n_ranks)]
    for rank in ranks:
        rank.start()
    until = time.monotonic() + limit_s
    for rank in ranks:
        rank.join(max(0.0, until - time.monotonic()))
    late = any(rank.is_alive() for rank in ranks)
    for rank in ranks:
        rank.kill()
        rank.join()
    if late:
        return f"not done within {limit_s:.0f} s"
    if all(rank.exitcode == 0 for rank in ranks):
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit codes {[rank.exitcode for rank in ranks]}"


def _rank(tree: dict[str, Any], rank: int, n_ranks: int, log: Path, meeting: Path) -> None:
    """One rank of a run, in a process of its own; what it says goes into the log."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(n_ranks))
    config = parse_config(TrainConfig, tree, source="bench.gpu")
    process = process_from_environment(config.loop.device)
    if process.device.type == "cuda":
        torch.cuda.set_device(process.device)
    else:
        torch.compiler.set_default_backend("eager")  # the road of compiled blocks, without minutes of a C++ compiler
    if config.loop.strategy == "fsdp2":
        backend = "cpu:gloo,cuda:nccl" if process.device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=n_ranks)
    fit(config, process, StopRequest())
    if dist.is_initialized():
        dist.destroy_process_group()


def _steps(run: Path) -> list[dict[str, Any]]:
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == "step"]


def page(results: list[Result], n_gpus: int) -> str:
    """The page, in Markdown."""
    where = f"{n_gpus} x {torch.cuda.get_device_name(0)}" if n_gpus else f"a CPU ({platform.machine()}), at toy size"
    about = (
        f"torch {torch.__version__}, CUDA {torch.version.cuda}; drawn clips, 16 a GPU and step. MFU counts a forward "
        "pass times three over the card's bf16 peak, without recomputation."
        if n_gpus
        else "No GPU was found: the same runs with models of a few thousand parameters. Speeds mean nothing here."
    )
    head = "| run | loss, first to last step | clips/s | ms a step | waiting for data | MFU | peak GiB | s in all |"
    return "\n".join([f"# Training on {where}", "", about, "", head, "|---" * 8 + "|", *(r.row() for r in results), ""])


def main(arguments: list[str] | None = None) -> int:
    """Runs all cases, writes the page and prints it; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/gpu"))
    parser.add_argument("--only", nargs="*", help="parts of the names of the runs to do")
    given = parser.parse_args(arguments)
    n_gpus = torch.cuda.device_count()
    until = time.monotonic() + TEN_MINUTES_S
    manifest = given.out / "data" / "manifest.json"
    if not manifest.is_file():
        write_dataset(given.out / "data", videos=32, val_videos=4, shard_size=4)
    results = []
    for number, case in enumerate(cases(n_gpus)):
        if given.only and not any(part in case.name for part in given.only):
            continue
        left_s = max(0.0, until - time.monotonic())
        print(f"{case.name} …", flush=True)
        results.append(measure(case, manifest, given.out / f"run-{number}", n_gpus=n_gpus, limit_s=left_s))
    text = page(results, n_gpus)
    (given.out / "gpu.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{given.out / 'gpu.md'}")
    return int(any(result.problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
