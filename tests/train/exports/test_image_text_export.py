"""Image-text models: exported, and started from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import train
from manifests.errors import UserError
from tests.train.image_text_runs import MODELS, run
from train.cli import app
from train.distributed import process_from_environment
from train.loop.finished_run import open_run


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_is_exported_and_another_starts_from_it(kind: str, drawn: Path, tmp_path: Path) -> None:
    run(kind, drawn, tmp_path / "run", loop={"steps": 2})
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "export")])
    assert exported.exit_code == 0, exported.output
    assert f"--set model.model_weights={tmp_path / 'export'}\n" in exported.output and "embed" not in exported.output
    with pytest.raises(UserError, match=f"a model of kind {kind}, which has no embeddings to compare by"):
        train.load(tmp_path / "export")
    theirs = open_run(tmp_path / "run", process_from_environment("cpu")).model.state_dict()
    weights = load_file(tmp_path / "export/model.safetensors")
    assert weights and all(torch.equal(value, theirs[key]) for key, value in weights.items())
    run(kind, drawn, tmp_path / "next", loop={"steps": 1}, model={"model_weights": str(tmp_path / "export")})
