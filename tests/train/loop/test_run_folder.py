"""A run's folder: one run at a time, the same configuration, and a mark where it is to be started again."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.files import Files
from manifests.settings import parse_config
from train.config import OptimConfig, TrainConfig
from train.distributed import process_from_environment
from train.loop.bucket import Home
from train.loop.checkpoint import Facts, folder_of
from train.loop.run_folder import REQUEUE, claim, held, mark_requeue
from train.loop.tensor_files import FACTS, METADATA

ALONE = process_from_environment("cpu")


def home_of(folder: Path) -> Home:
    return Home(folder, Files(str(folder)))


def test_a_folder_is_one_runs_until_its_block_ends(tmp_path: Path) -> None:
    with (
        held(tmp_path / "run", ALONE),
        pytest.raises(UserError, match="being trained by process"),
        held(tmp_path / "run", ALONE),
    ):
        pass
    with held(tmp_path / "run", ALONE):
        pass


def test_a_claim_takes_the_mark_away_and_writes_the_configuration(tmp_path: Path) -> None:
    config = parse_config(TrainConfig, a_tree(tmp_path / "manifest.json", tmp_path / "run"), source="test")
    (tmp_path / "run").mkdir()
    mark_requeue(tmp_path / "run", 3, 10)
    assert json.loads((tmp_path / "run" / REQUEUE).read_text()) == {"step": 3, "n_steps": 10}

    claim(home_of(tmp_path / "run"), config, ALONE)

    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml"]


def test_a_run_is_not_resumed_with_another_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_config(TrainConfig, a_tree(tmp_path / "manifest.json", tmp_path), source="test")
    claim(home_of(tmp_path), config, ALONE)
    checkpoint = folder_of(tmp_path) / "step-00000001"
    checkpoint.mkdir(parents=True)
    facts = Facts(1, "", "", config.record(), 1, fixed=config.fixed_values())
    (checkpoint / FACTS).write_text(json.dumps(asdict(facts)))
    (checkpoint / METADATA).touch()
    claim(home_of(tmp_path), config, ALONE)

    monkeypatch.setattr(OptimConfig, "eps", 1e-8)

    with pytest.raises(UserError, match=r"optim\.eps: 1e-06 there, 1e-08 here"):
        claim(home_of(tmp_path), config, ALONE)
