"""Run on ranks: a few steps of combinations of strategy, stage, freezing and objectives.

torchrun --nproc-per-node 2 -m tests.train.matrix OUT.json
"""

import json
import os
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tests.train.model_cases import TOKENS, small_batch, small_config, small_model
from train.config import TrainConfig
from train.distributed import process_from_environment, process_group, rank_in, world_size
from train.loop.objective import backward, mark_trainable
from train.loop.optim import build_optimizer
from train.models.wrapping import Strategy, unwrap, wrap
from train.objectives import Draw, prepare
from train.rows import Rows

N_ROWS, N_STEPS = 8, 2
"""Rows of the global batch; steps, of which the second is where a forgotten parameter would be missed."""

WEIGHTS: list[dict[str, float]] = [
    {"contrastive": 1.0},
    {"contrastive": 0.0, "mlm": 1.0},
    {"contrastive": 0.0, "itm": 1.0},
    {"contrastive": 0.0, "mlm": 1.0, "itm": 0.5},
    {"contrastive": 1.0, "mlm": 0.5},
    {"contrastive": 1.0, "mlm": 0.5, "itm": 0.5},
]


@dataclass(frozen=True)
class Case:
    """One combination that a configuration allows."""

    strategy: Strategy
    stage: int
    frozen: bool
    weights: tuple[tuple[str, float], ...]
    micro_batch: int = 0

    @property
    def name(self) -> str:
        """What its losses are filed under."""
        on = "+".join(name for name, weight in self.weights if weight)
        frozen = "-frozen" if self.frozen else ""
        return f"{self.strategy}-stage{self.stage}{frozen}-{on}" + (
            f"-micro{self.micro_batch}" * (self.micro_batch > 0)
        )


def cases(strategies: tuple[Strategy, ...]) -> list[Case]:
    """All of them, whole and in micro-batches."""
    found = []
    for strategy, stage, frozen, weights, micro in product(strategies, (1, 2), (False, True), WEIGHTS, (0, 2)):
        multimodal = bool(weights.get("mlm") or weights.get("itm"))
        if (stage == 1 and (multimodal or frozen)) or (frozen and not multimodal):
            continue  # the configuration refuses it
        found.append(Case(strategy, stage, frozen, tuple(weights.items()), micro))
    return found


WITH_ALL = tuple(WEIGHTS[-1].items())
ALL_LOSSES = [
    Case("ddp", 2, False, WITH_ALL, micro_batch=2),
    Case("ddp", 2, True, tuple(WEIGHTS[3].items())),
    Case("fsdp2", 2, False, WITH_ALL),
]
"""Those that `tests.train.ranks` starts too: every loss under each strategy, in parts, and with a part frozen."""


def config_of(case: Case) -> TrainConfig:
    """The run's configuration."""
    changes = {"stage": case.stage, "freeze_stage1": case.frozen, "itm": bool(dict(case.weights).get("itm"))}
    tree: dict[str, Any] = {
        "data": {"manifest": "none"},
        "model": small_config(**changes).model_dump(mode="json"),
        "objective": dict(case.weights),
        "optim": {"lr": 1e-3, "warmup": 0.0},
        "loop": {"steps": N_STEPS, "batch": N_ROWS, "micro_batch": case.micro_batch},
    }
    return TrainConfig.model_validate(tree)


def plain_rows(config: TrainConfig) -> Rows:
    """The global batch before its objectives: eight clips of four videos, two of which say the same."""
    rows = small_batch(small_config(), N_ROWS)
    video = torch.arange(N_ROWS) // 2
    text = torch.arange(N_ROWS)
    text[5] = text[1]
    same = rows.input_ids.clone(), rows.attention_mask.clone()
    for table in same:
        table[5] = table[1]
    return Rows(
        img_middle=rows.img_middle,
        img_other=rows.img_other,
        input_ids=same[0],
        attention_mask=same[1],
        video_ids=video,
        caption_ids=text,
    )


def losses_of(case: Case) -> list[float]:
    """The loss of each step, from this rank's share."""
    config = config_of(case)
    model = small_model(
        **{k: v for k, v in config.model.model_dump().items() if k in ("stage", "freeze_stage1", "itm")}
    )
    mark_trainable(model, config)
    wrapped = wrap(model, case.strategy)
    optimizer = build_optimizer(wrapped, config.optim)
    n = N_ROWS // world_size()
    own = plain_rows(config)[rank_in() * n : (rank_in() + 1) * n]
    found = []
    for step in range(N_STEPS):
        rows = prepare(own, Draw(0, step, TOKENS), config.objective)
        loss = backward(wrapped, rows, config)
        assert all(p.grad is not None for p in wrapped.parameters() if p.requires_grad), "a parameter without gradient"
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        unwrap(wrapped).after_step()
        found.append(float(loss.total))
    return found


def main(out: str) -> None:
    """All of them, in one start of the processes."""
    process = process_from_environment("cpu")
    torch.set_num_threads(1)
    with process_group(process):
        results = {case.name: losses_of(case) for case in cases(("ddp", "fsdp2"))}
        if process.is_first:
            Path(out).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the results are written; threads of gloo that outlive the group could abort the interpreter's end
