"""`hdvila-train distill` and `adapt`: what comes of a trained model, and that both go on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from hdvila_testing.drawn_set import Shape, a_tree, write_dataset
from manifests.errors import UserError
from manifests.settings import load_config
from train.cli import app
from train.config import TrainConfig
from train.exports.inference import load_checkpoint

SHAPE = Shape(width=160, height=96, n_frames=12, first_frame=1, n_stills=3)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets, and a run on one of them."""
    root = tmp_path_factory.mktemp("descendants")
    write_dataset(root / "old", videos=4, clips=2, val_videos=2, shard_size=4, shape=SHAPE)
    write_dataset(root / "new", videos=5, clips=2, val_videos=3, shard_size=4, shape=SHAPE)
    model = {"n_space_time_blocks": 2, "n_frames": 5, "trunk_width": 8}
    tree = a_tree(root / "old/manifest.json", root / "run", model={**a_tree(root, root)["model"], **model})
    (root / "train.yaml").write_text(yaml.safe_dump(tree))
    run("fit", root / "train.yaml")
    return root


def run(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False).output


def test_a_student_is_smaller_and_its_exported_towers_are_what_the_table_measures(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.distill.MEASURED_S", 0.0)  # one call of each tower
    out = run("distill", here / "run", "--out", here / "student", "--set", "loop.steps=2")

    rows = json.loads((here / "student/distill.json").read_text())
    assert [row["model"] for row in rows] == ["teacher", "student", "student, text in int8"]
    assert all(0 <= row["r1"] <= 1 and row["clip_ms"] > 0 for row in rows)
    assert rows[1]["video_mb"] < rows[0]["video_mb"] and rows[2]["text_mb"] < rows[1]["text_mb"]
    assert all(row["model"] in out for row in rows)
    config = load_checkpoint(here / "student/export").model.config
    assert (config.width, config.trunk_width, config.n_frames) == (16, 4, 3)
    assert onnxruntime.InferenceSession(here / "student/export/text.int8.onnx").get_outputs()[0].shape[-1] == 16
    student = load_config(TrainConfig, here / "student/student/config.yaml")
    assert student.data.stride == 6, "three frames span the time that five did"


@pytest.mark.long
def test_a_finished_student_is_not_trained_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.distill.MEASURED_S", 0.0)
    words = "distill", here / "run", "--out", here / "student", "--set", "loop.steps=2"
    run(*words)
    written = (here / "student/student/metrics.jsonl").read_bytes()
    run(*words)
    assert (here / "student/student/metrics.jsonl").read_bytes() == written


def test_a_student_of_another_data_set_is_refused(here: Path) -> None:
    run("embed", here / "run", here / "old", "--out", here / "of-old")
    keys = [
        "objective.distill=1",
        f"objective.distill_from={here}/of-old",
        f"data.manifest={here}/new",
        f"out={here}/x",
    ]
    with pytest.raises(UserError, match="embeddings of manifest"):
        run("fit", here / "train.yaml", *(f"--set={key}" for key in keys))


def test_adapting_moves_the_last_blocks_alone_and_scores_both_sets(here: Path) -> None:
    out = run("adapt", here / "run", here / "new/manifest.json", "--out", here / "adapted", "--set", "loop.epochs=1")

    new, old = json.loads((here / "adapted/adapt.json").read_text())
    assert (new["n"], old["n"]) == (6, 4) and out.count(" before, ") == 2
    before, after = (load_file(here / "adapted" / name / "model.safetensors") for name in ("base", "export"))
    moved = {name for name in before if not before[name].equal(after[name])}
    still = ("cnn", "grid_encoder", "timesformer.blocks.0.")
    assert moved and not [name for name in moved if name.startswith(still)]
    assert {name.split(".")[2] for name in moved if name.startswith("timesformer.blocks.")} == {"1"}


@pytest.fixture(scope="module")
def vit(here: Path) -> Path:
    """A run of that kind."""
    tree = a_tree(here / "old/manifest.json", here / "vit", loop={"steps": 2})
    tree["model"] = {"kind": "vit", "preset": "tiny"}
    (here / "vit.yaml").write_text(yaml.safe_dump(tree))
    run("fit", here / "vit.yaml")
    return here / "vit"


@pytest.mark.long
def test_a_vit_has_a_student(vit: Path, here: Path) -> None:
    run("distill", vit, "--out", here / "small", "--set", "loop.steps=2")
    assert load_checkpoint(here / "small/export").model.config.width == 32


def test_a_vit_learns_by_low_rank_additions(vit: Path, here: Path) -> None:
    run("adapt", vit, here / "new/manifest.json", "--out", here / "lora", "--set", "loop.epochs=1")

    before, after = (load_file(here / "lora" / name / "model.safetensors") for name in ("base", "export"))
    moved = {name for name in before if not before[name].equal(after[name])}
    assert before.keys() == after.keys() and any("attn" in name or "attention" in name for name in moved)
    assert not [name for name in moved if "mlp" in name and not name.startswith("time")], "only attention has additions"


def test_models_without_embeddings_are_refused(here: Path) -> None:
    tree = yaml.safe_load((here / "run/config.yaml").read_text())
    tree["model"] = {"kind": "soho", "preset": "tiny"}
    tree.pop("objective"), tree["data"].pop("view"), tree.pop("plugins", None)
    (here / "soho").mkdir()
    (here / "soho/config.yaml").write_text(yaml.safe_dump({**tree, "objective": {"contrastive": 0, "mlm": 1}}))
    with pytest.raises(UserError, match="kind soho has none"):
        run("adapt", here / "soho", here / "new", "--out", here / "x")
