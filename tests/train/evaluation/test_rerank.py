"""Two-stage retrieval: the towers' candidates are read again, the others stay behind them."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.settings import parse_config
from train.cli import app
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.evaluation.rerank import rerank
from train.loop.fit import StopRequest, fit


def test_candidates_are_ordered_by_matching_and_stand_before_what_the_towers_left_out() -> None:
    similarity = torch.tensor([[0.9, 0.8, 0.1, 0.7], [0.1, 0.2, 0.3, 0.4]])
    matching = torch.tensor([[-5.0, 3.0, 99.0, 1.0], [99.0, 99.0, 2.0, -9.0]])
    found = rerank(similarity, 2, lambda q, c: matching[q, c])
    assert found.argsort(1, descending=True).tolist() == [[1, 0, 3, 2], [2, 3, 1, 0]]
    every = rerank(similarity, 9, lambda q, c: matching[q, c])
    assert every.argsort(1, descending=True).tolist() == matching.argsort(1, descending=True).tolist()


def test_eval_tells_recalls_before_and_after(drawn: Path, tmp_path: Path) -> None:
    stages = {"both": ({"stage": 2, "itm": True}, {"itm": 1.0}), "towers": ({"stage": 1}, {})}
    for name, (model, objective) in stages.items():
        tree = a_tree(drawn, tmp_path / name, model=model, loop={"steps": 1}, objective=objective)
        fit(parse_config(TrainConfig, tree, source="test"), process_from_environment("cpu"), StopRequest())
    done = CliRunner().invoke(app, ["eval", str(tmp_path / "both"), "--rerank", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["rerank"]
    assert found["n_candidates"] == 2 and 0 <= found["reranked_text_to_video_r1"] <= 1
    # Of two candidates only the order changes: what is among the first five stays so.
    assert found["reranked_text_to_video_r5"] == pytest.approx(found["towers_text_to_video_r5"])
    refused = CliRunner().invoke(app, ["eval", str(tmp_path / "towers"), "--rerank", "2"])
    assert isinstance(refused.exception, UserError) and "matching head" in str(refused.exception)
