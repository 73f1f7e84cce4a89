"""Image-text models: exported, and started from."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import train
from manifests.errors import UserError
from tests.train.image_text_runs import MODELS, run
from train.cli import app
from train.distributed import process_from_environment
from train.exports.image_text_export import load_image_text
from train.loop.finished_run import open_run


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_is_exported_and_another_starts_from_it(kind: str, drawn: Path, tmp_path: Path) -> None:
    run(kind, drawn, tmp_path / "run", loop={"steps": 2})
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "export")])
    assert exported.exit_code == 0, exported.output
    assert f"--set model.model_weights={tmp_path / 'export'}\n" in exported.output and "embed" not in exported.output
    with pytest.raises(UserError, match=f"a model of kind {kind}, which has no embeddings to compare by"):
        train.load(tmp_path / "export")
    model = load_image_text(tmp_path / "export")
    opened = open_run(tmp_path / "run", process_from_environment("cpu")).model
    theirs = opened.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in model.state_dict().items())
    run(kind, drawn, tmp_path / "next", loop={"steps": 1}, model={"model_weights": str(tmp_path / "export")})
    (tmp_path / "export" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no such weights file"):
        load_image_text(tmp_path / "export")
