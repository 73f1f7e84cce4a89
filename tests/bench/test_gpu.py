"""The runs of `make gpu`, which go on without a GPU at toy size: each path works, and a failure is on the page."""

from pathlib import Path
from typing import Any

import pytest

from bench.gpu import Case, Result, main, measure, page
from hdvila_testing.drawn_set import MICRO_MODEL

STEP: dict[str, Any] = {
    "loss": 2.0, "samples_per_s": 231.5, "step_ms": 69.1, "data_wait_share": 0.03, "mfu": 0.41,
    "peak_memory_bytes": 20 * 2**30,
}  # fmt: skip


@pytest.mark.long
def test_a_compiled_a_sharded_and_a_resumed_run_go_on_without_a_gpu(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path), "--only", "compiled", "FSDP2", "resumed"]) == 0
    lines = (tmp_path / "gpu.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| the same")] == [
        "the same, compiled",
        "the same, FSDP2",
        "the same, resumed half-way",
    ]


def test_a_run_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    case = Case("a bad one", {"model": {**MICRO_MODEL, "width": 33}})
    result = measure(case, tmp_path / "manifest.json", tmp_path / "run", n_gpus=0, limit_s=300)
    assert "width 33 is not a multiple of n_heads" in result.row() and "FAILED" in result.row()


def test_a_row_has_the_medians_of_the_later_half() -> None:
    slow_start = [{**STEP, "loss": 3.0, "samples_per_s": 1.0}] * 2
    text = page([Result("a run", 42.0, steps=[*slow_start, *[STEP] * 3])], 0)
    assert "| a run | 3.000 to 2.000 | 231.5 | 69 | 3% | 41% | 20.0 | 42 |" in text
