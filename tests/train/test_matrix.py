"""Strategy x stage x freezing x objectives x micro-batches: each trains, and takes the steps that one process takes.

On two ranks, `make test` holds those of tests/train/test_distributed.py.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.train.matrix import WITH_ALL, Case, cases, losses_of
from tests.train.torchrun import run_on_ranks


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """The losses that two processes came to."""
    out: Path = tmp_path_factory.mktemp("matrix") / "losses.json"
    run_on_ranks(2, "-m", "tests.train.matrix", str(out), log=out.with_name("log"))
    found: dict[str, list[float]] = json.loads(out.read_text())
    return found


def alone(case: Case) -> list[float]:
    return losses_in_one_process(Case("none", case.stage, case.frozen, case.weights))


losses_in_one_process = cache(losses_of)


@pytest.mark.long
@pytest.mark.parametrize("case", cases(("ddp", "fsdp2")), ids=lambda case: case.name)
def test_a_run_on_two_ranks_takes_the_steps_of_one_process(ranks: dict[str, list[float]], case: Case) -> None:
    assert ranks[case.name] == pytest.approx(alone(case), abs=1e-9)


def in_micro_batches() -> list[Any]:
    """In one process: stage 1, and stage 2 with every loss; the others are long."""
    found = [case for case in cases(("none",)) if case.micro_batch]
    return [
        pytest.param(
            case, marks=[] if case.stage == 1 or case.weights == WITH_ALL else [pytest.mark.long], id=case.name
        )
        for case in found
    ]


@pytest.mark.parametrize("case", in_micro_batches())
def test_micro_batches_take_the_steps_of_whole_ones(case: Case) -> None:
    assert losses_of(case) == pytest.approx(alone(case), abs=1e-9)
