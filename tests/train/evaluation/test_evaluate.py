"""What a run is scored on."""

from __future__ import annotations

import pytest

from hdvila_testing.drawn_set import a_tree
from manifests.settings import parse_config
from tests.train.evaluation.test_held_out import stage_two  # noqa: F401  (a fixture)
from tests.train.loop.test_fit import run
from train.config import TrainConfig
from train.objectives import active


def test_stage_two_is_scored_on_what_it_learns_beside_retrieval(stage_two):  # noqa: F811
    scores = stage_two[0].scores

    assert scores["val_loss"] == pytest.approx(scores["val_loss_mlm"] + 0.5 * scores["val_loss_itm"], abs=1e-5)
    assert 0 <= scores["val_accuracy_mlm"] <= 1 and 0 < scores["val_accuracy_itm"] <= 1
    assert "t2v_r1" in scores


def test_a_run_with_towers_alone_has_no_such_losses(drawn, tmp_path):
    config = parse_config(TrainConfig, a_tree(drawn, tmp_path), source="test")
    assert [objective.name for objective, _ in active(config.objective) if objective.spans is None] == []
    assert not [name for name in run(drawn, tmp_path / "run", loop={"steps": 1}).scores if name.startswith("val_")]
