"""Strategy x stage x freezing x objectives x micro-batches: each trains, and takes the steps that one process takes.

`make test` holds each pair of values, `make test-long` all that can be put together.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.train.matrix import CHOSEN, REST, Case, cases, losses_of
from tests.train.torchrun import run_on_ranks


def on_two_ranks(out: Path, *which: str) -> dict[str, list[float]]:
    """The losses that two processes came to."""
    run_on_ranks(2, "-m", "tests.train.matrix", str(out), *which, log=out.with_name("log"))
    found: dict[str, list[float]] = json.loads(out.read_text())
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    return on_two_ranks(tmp_path_factory.mktemp("matrix") / "losses.json")


@pytest.fixture(scope="module")
def ranks_of_the_rest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    return on_two_ranks(tmp_path_factory.mktemp("matrix") / "losses.json", "rest")


def alone(case: Case) -> list[float]:
    return losses_in_one_process(Case("none", case.stage, case.frozen, case.weights))


losses_in_one_process = cache(losses_of)


@pytest.mark.slow
@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_a_run_on_two_ranks_takes_the_steps_of_one_process(ranks: dict[str, list[float]], case: Case) -> None:
    assert ranks[case.name] == pytest.approx(alone(case), abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("case", REST, ids=lambda case: case.name)
def test_so_does_every_other_combination(ranks_of_the_rest: dict[str, list[float]], case: Case) -> None:
    assert ranks_of_the_rest[case.name] == pytest.approx(alone(case), abs=1e-9)


def in_micro_batches() -> list[Any]:
    """In one process: stage 1, and of stage 2 those where both heads learn; the others are long."""
    found = [case for case in cases(("none",)) if case.micro_batch]
    few = [case for case in found if case.stage == 2 and not {"mlm", "itm"} <= dict(case.weights).keys()]
    return [pytest.param(c, marks=[pytest.mark.long] if c in few else [], id=c.name) for c in found]


@pytest.mark.parametrize("case", in_micro_batches())
def test_micro_batches_take_the_steps_of_whole_ones(case: Case) -> None:
    assert losses_of(case) == pytest.approx(alone(case), abs=1e-9)
