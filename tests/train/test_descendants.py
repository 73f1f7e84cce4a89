"""What comes of a trained model: a smaller one that learns its similarities, and one that goes on with other clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from hdvila_testing.drawn_set import Shape, a_tree, write_dataset
from manifests.errors import UserError
from train.cli import app

SHAPE = Shape(width=160, height=96, n_frames=12, first_frame=1, n_stills=3)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets, a run on one of them, what its model makes of that set, and its export."""
    root = tmp_path_factory.mktemp("descendants")
    write_dataset(root / "old", videos=4, val_videos=2, shard_size=4, shape=SHAPE)
    write_dataset(root / "new", videos=5, val_videos=2, shard_size=4, shape=SHAPE)
    model = {**a_tree(root, root)["model"], "n_space_time_blocks": 2, "trunk_width": 8}
    tree = a_tree(root / "old/manifest.json", root / "run", model=model, loop={"steps": 1})
    (root / "train.yaml").write_text(yaml.safe_dump(tree))
    run("fit", root / "train.yaml")
    run("embed", root / "run", root / "old", "--out", root / "teacher")
    run("export", root / "run", root / "trained")
    return root


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False).output


def fit(here: Path, out: str, *keys: str) -> list[dict[str, float]]:
    run("fit", here / "train.yaml", *(f"--set={key}" for key in (f"out={here / out}", *keys)))
    return [json.loads(line) for line in (here / out / "metrics.jsonl").read_text().splitlines()]


def test_a_student_of_half_the_width_learns_from_the_rows_of_its_teacher(here: Path) -> None:
    keys = ["objective.distill=1", f"objective.distill_from={here}/teacher", f"data.tokenizer={here}/run/tokenizer"]

    lines = fit(here, "student", *keys, "model.width=16", "model.trunk_width=4", "model.n_frames=3")

    assert next(line["loss_distill"] for line in lines if "loss_distill" in line) > 0


def test_a_teacher_of_another_data_set_is_refused(here: Path) -> None:
    keys = ["objective.distill=1", f"objective.distill_from={here}/teacher", f"data.manifest={here}/new"]
    with pytest.raises(UserError, match="embeddings of manifest"):
        fit(here, "x", *keys)


def test_a_model_goes_on_with_other_clips_in_its_last_blocks_alone(here: Path) -> None:
    still = ("cnn", "timesformer.blocks.0.")
    keys = [
        "optim.lr_scale={'cnn*': 0, 'grid_encoder*': 0, 'timesformer.blocks.0.*': 0}",
        f"data.manifest={here}/new/manifest.json",
    ]

    fit(here, "adapted", *keys, f"model.model_weights={here}/trained")
    run("export", here / "adapted", here / "of-adapted")

    before, after = (load_file(here / name / "model.safetensors") for name in ("trained", "of-adapted"))
    moved = {name for name in before if not before[name].equal(after[name])}
    assert {name.split(".")[2] for name in moved if name.startswith("timesformer.blocks.")} == {"1"}
    assert not [name for name in moved if name.startswith(still)]
    assert (here / "adapted/tokenizer/tokenizer.json").read_bytes() == (here / "trained/tokenizer.json").read_bytes()
