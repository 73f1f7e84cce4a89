"""A run's folder: one run at a time, the same configuration, and a mark where it is to be started again."""

import json
from pathlib import Path

import pytest

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.run_folder import REQUEUE, claim, held, mark_requeue

ALONE = process_from_environment("cpu")


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

    claim(tmp_path / "run", config, ALONE)

    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml"]
