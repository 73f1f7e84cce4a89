"""What a run is scored on: losses on held-out rows, beside retrieval where there are towers."""

from __future__ import annotations

import pytest
import torch

from hdvila_testing.drawn_set import a_tree
from manifests.settings import parse_config
from tests.train.loop.test_fit import run
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.evaluation.held_out import Share, losses_on
from train.feed.batches import choose_source
from train.loop.finished_run import open_run
from train.objectives import active


@pytest.fixture(scope="module")
def stage_two(drawn, tmp_path_factory):
    """A run of HD-VILA's stage 2 with masked words and matching; its stage 1 is frozen."""
    out = tmp_path_factory.mktemp("stage2") / "run"
    sections = {"model": {"stage": 2, "itm": True, "freeze_stage1": True}, "loop": {"steps": 2}}
    sections["objective"] = {"contrastive": 0.0, "mlm": 1.0, "itm": 0.5}
    return run(drawn, out, **sections), out


def test_a_model_that_calls_all_pairs_a_match_is_right_as_often_as_pairs_match(stage_two):
    opened = open_run(stage_two[1], process_from_environment("cpu"))
    model, config = opened.model.eval(), opened.config
    (head,) = (layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer.out_features == 2)
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([-1.0, 1.0])
    share = Share.of(opened.val, config, process_from_environment("cpu"))
    source = choose_source(config, opened.val)

    scores = losses_on(
        model,
        share.chunks(opened.val, config, source),
        active(config.objective),
        config,
        opened.data.tokenizer,
        share.n_rounds,
    )

    matches = scores.accuracies["itm"] * scores.n_clips
    assert matches == pytest.approx(round(matches)) and 0 < matches < scores.n_clips
    p = torch.tensor([-1.0, 1.0]).softmax(0)
    by_hand = -(matches * p[1].log() + (scores.n_clips - matches) * p[0].log()) / scores.n_clips
    assert scores.losses["itm"] == pytest.approx(float(by_hand), abs=1e-5)


def test_stage_two_is_scored_on_what_it_learns_beside_retrieval(stage_two):
    scores = stage_two[0].scores

    assert scores["val_loss"] == pytest.approx(scores["val_loss_mlm"] + 0.5 * scores["val_loss_itm"], abs=1e-5)
    assert 0 <= scores["val_accuracy_mlm"] <= 1 and 0 < scores["val_accuracy_itm"] <= 1
    assert "t2v_r1" in scores


def test_a_run_with_towers_alone_has_no_such_losses(drawn, tmp_path):
    config = parse_config(TrainConfig, a_tree(drawn, tmp_path), source="test")
    assert [objective.name for objective, _ in active(config.objective) if objective.spans is None] == []
    assert not [name for name in run(drawn, tmp_path / "run", loop={"steps": 1}).scores if name.startswith("val_")]
