"""A run's folder: one run at a time, the same configuration, and a mark where it is to be started again."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.files import Files
from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.bucket import Home
from train.loop.checkpoint import Facts, folder_of
from train.loop.run_folder import REQUEUE, claim, held, mark_requeue
from train.loop.tensor_files import FACTS, METADATA
from train.sections import OptimConfig

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

    (tmp_path / "address").mkdir()
    mark_requeue(tmp_path / "address", 3, 10)

    claim(Home(tmp_path / "run", Files(str(tmp_path / "address"))), config, ALONE)

    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml"]
    assert not (tmp_path / "address" / REQUEUE).exists()


def with_a_checkpoint(folder: Path) -> TrainConfig:
    """Makes the folder that of a run after its first step."""
    config = parse_config(TrainConfig, a_tree(folder / "manifest.json", folder), source="test")
    claim(home_of(folder), config, ALONE)
    checkpoint = folder_of(folder) / "step-00000001"
    checkpoint.mkdir(parents=True)
    facts = Facts(1, "", "", config.record(), 1, fixed=config.fixed_values())
    (checkpoint / FACTS).write_text(json.dumps(asdict(facts)))
    (checkpoint / METADATA).touch()
    return config


def test_a_schedule_that_is_stretched_is_warned_of_and_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_a_checkpoint(tmp_path)
    (tmp_path / "summary.json").write_text('{"status": "finished", "step": 1}')
    n_steps = config.loop.steps
    longer = a_tree(tmp_path / "manifest.json", tmp_path, loop={"steps": n_steps + 4})

    claim(home_of(tmp_path), parse_config(TrainConfig, longer, source="test"), ALONE)

    said = capsys.readouterr().out
    assert f"loop.steps {n_steps} → {n_steps + 4} from step 2 on\n" in said and "warning: this run's schedule" in said
    assert json.loads((tmp_path / "changes.jsonl").read_text())["key"] == "loop.steps"


def test_a_run_is_not_resumed_with_another_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_a_checkpoint(tmp_path)
    claim(home_of(tmp_path), config, ALONE)

    monkeypatch.setattr(OptimConfig, "eps", 1e-8)

    with pytest.raises(UserError, match=r"optim\.eps: 1e-06 there, 1e-08 here"):
        claim(home_of(tmp_path), config, ALONE)
