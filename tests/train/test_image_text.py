"""SOHO and Visual Parsing through the one trainer: fit, resume, micro-batches, ranks, evaluation, image-text sets."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from hdvila_testing.drawn_set import a_tree
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from tests.train.image_text_runs import MODELS, WEIGHTS, run, tree
from tests.train.torchrun import run_on_ranks
from train.cli import app
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.checkpoint import checkpoints
from train.loop.finished_run import evaluate_run
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics


def losses(out: Path) -> list[dict[str, float]]:
    """The losses of each step, by objective."""
    names = ("loss", "loss_mlm", "loss_itm", "loss_mvm", "loss_mfr", "perplexity", "live_entries")
    return [{n: r[n] for n in names if n in r} for r in read_metrics(out) if r["kind"] == "step"]


def assert_close(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=2e-4, abs=2e-5)


@pytest.fixture(scope="module")
def whole_runs(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a finished run of each model, in one process and whole batches. Not to be written to."""
    folders = {kind: tmp_path_factory.mktemp(kind) / "run" for kind in MODELS}
    for kind, folder in folders.items():
        assert run(kind, drawn, folder).status == "finished"
    return folders


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_trains_evaluates_and_goes_on_with_the_same_bits(
    kind: str, whole_runs: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    whole, again = whole_runs[kind], tmp_path / "again"
    assert {"loss_mlm", "loss_itm"} < losses(whole)[0].keys()
    shutil.copytree(whole, again)
    for folder in checkpoints(again)[1:]:
        shutil.rmtree(folder)
    run(kind, drawn, again)
    one, other = (checkpoints(folder)[-1] / "__0_0.distcp" for folder in (whole, again))
    assert one.read_bytes() == other.read_bytes()
    scores, _ = evaluate_run(whole, process_from_environment("cpu"))
    assert set(WEIGHTS[kind]) - {"contrastive", "mvm_share"} <= {n.removeprefix("val_loss_") for n in scores.flat()}


@pytest.mark.parametrize("kind", MODELS)
def test_micro_batches_take_the_steps_of_the_whole_batch(
    kind: str, whole_runs: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    run(kind, drawn, tmp_path / "micro", loop={"micro_batch": 2}, model={"gradient_checkpointing": True})
    assert_close(losses(tmp_path / "micro"), losses(whole_runs[kind]))


LIVE = {"model": {"norm": "batch"}}
ON_RANKS = [("soho", "fsdp2"), ("visual_parsing", "ddp")]


def on_two_ranks(folder: Path, **runs: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """The losses of runs that two processes made one after another: {name: losses}, from {name: configuration}."""
    for name, config in runs.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    configs = [str(folder / f"{name}.yaml") for name in runs]
    run_on_ranks(2, "-m", "tests.train.several_fits", *configs, log=folder / "log")
    return {name: losses(Path(config["out"])) for name, config in runs.items()}


def in_parts(kind: str, strategy: str, drawn: Path, out: Path) -> dict[str, Any]:
    return tree(kind, drawn, out, loop={"strategy": strategy, "micro_batch": 2})


@pytest.fixture(scope="module")
def ranks(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("ranks")
    parts = {kind: in_parts(kind, strategy, drawn, folder / kind) for kind, strategy in ON_RANKS}
    return on_two_ranks(folder, **parts, live=tree("soho", drawn, folder / "live", **LIVE))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_ranks_take_the_steps_of_one_process(
    kind: str, whole_runs: dict[str, Path], ranks: dict[str, list[dict[str, float]]]
) -> None:
    """Losses of later steps are those of the same weights and the same dictionary."""
    assert_close(ranks[kind], losses(whole_runs[kind]))


@pytest.mark.long
def test_ranks_of_the_other_strategy_do_so_too(whole_runs: dict[str, Path], drawn: Path, tmp_path: Path) -> None:
    others = {"soho": "ddp", "visual_parsing": "fsdp2"}
    found = on_two_ranks(tmp_path, **{k: in_parts(k, strategy, drawn, tmp_path / k) for k, strategy in others.items()})
    for kind in MODELS:
        assert_close(found[kind], losses(whole_runs[kind]))


@pytest.mark.slow
def test_live_norms_over_ranks_are_those_of_one_process(
    drawn: Path, tmp_path: Path, ranks: dict[str, list[dict[str, float]]]
) -> None:
    """Statistics of the step over all ranks, without accumulation."""
    run("soho", drawn, tmp_path / "alone", **LIVE)
    assert_close(ranks["live"], losses(tmp_path / "alone"))


def test_compat_refuses_micro_batches_by_name(drawn: Path, tmp_path: Path) -> None:
    run("soho", drawn, tmp_path / "whole", model={"compat": True}, loop={"steps": 1})
    with pytest.raises(UserError, match="micro_batch"):
        run("soho", drawn, tmp_path / "micro", model={"compat": True}, loop={"micro_batch": 2})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"objective": {"contrastive": 1.0}}, "contrastive"),
        ({"model": {"compat": True, "gradient_checkpointing": True}}, "compat"),
        ({"data": {"view": "hybrid"}}, "hybrid"),
        ({"optim": {"lr_scale": {"trunk": 2.0}}}, r"matches no trained parameter; one is .*, which .*\.\* matches"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(sections: Any, message: str, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, UserError, ValueError), match=message):
        run("soho", drawn, tmp_path / "run", **sections)


@pytest.mark.parametrize("kind", MODELS)
def test_an_image_text_set_trains_it_too(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    colours = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250, 250, 250)}
    listed = []
    for i in range(16):
        name = list(colours)[i % 4]
        Image.new("RGB", (80 + i, 60), colours[name]).save(folder / f"{i}.jpg")
        listed.append({"file_name": f"{i}.jpg", "image_id": i, "captions": [f"a {name} wall", f"all {name}"]})
    (tmp_path / "captions.json").write_text(json.dumps(listed))
    import_images([tmp_path / "captions.json"], folder, Store(str(tmp_path / "set")), ImportSettings(val_share=0.3))
    outcome = run(kind, tmp_path / "set" / "manifest.json", tmp_path / "run", loop={"steps": 2})
    assert outcome.status == "finished"
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in losses(tmp_path / "run"))


@pytest.mark.parametrize("kind", MODELS)
def test_eval_tells_matching_and_flow(kind: str, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(kind, drawn, out, loop={"steps": 2})
    result = CliRunner().invoke(app, ["eval", str(out), "--matching", "--flow"])
    assert result.exit_code == 0, result.output
    assert "retrieval by matching, text to image: R@1" in result.output
    assert "imf_lift" in result.output
    found = json.loads((out / "flow.json").read_text())
    assert len(found["imf"]) == 2 and 0 < found["imf_lift_mean"] < 2.7
    done = CliRunner().invoke(app, ["eval", str(out), "--flow", "--json"])
    assert json.loads(done.stdout)["flow"] == found


def test_flow_of_hd_vilas_stage_2_is_measured_too_and_stage_1_says_why_not(drawn: Path, tmp_path: Path) -> None:
    for stage, objective in ((2, {"mlm": 1.0}), (1, {})):
        config = a_tree(
            drawn, tmp_path / f"stage{stage}", model={"stage": stage}, loop={"steps": 1}, objective=objective
        )
        fit(parse_config(TrainConfig, config, source="test"), process_from_environment("cpu"), StopRequest())
    result = CliRunner().invoke(app, ["eval", str(tmp_path / "stage2"), "--flow"])
    assert result.exit_code == 0, result.output
    assert "vision to text" in result.output
    refused = CliRunner().invoke(app, ["eval", str(tmp_path / "stage1"), "--flow"])
    assert isinstance(refused.exception, UserError) and "stage 2" in str(refused.exception)
    towers = CliRunner().invoke(app, ["eval", str(tmp_path / "stage2"), "--matching"])
    assert isinstance(towers.exception, UserError) and "has towers" in str(towers.exception)
