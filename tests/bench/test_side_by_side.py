"""Two runs in one table: each score beside its interval, and beside chance."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from bench.side_by_side import compare
from manifests.errors import UserError

SCORES = {"n_clips": 80, "t2v_r1": 0.5, "t2v_chance_r1": 0.0125, "texture_n": 80, "texture_chance": 0.25}


def a_run(folder: Path, view: str, **scores: float) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"view": view}}))
    (folder / "summary.json").write_text(json.dumps({"status": "finished", "scores": scores}))
    return folder


def test_each_run_is_a_column_and_each_attribute_a_row(tmp_path: Path) -> None:
    distinguished = {"texture_distinguished": 0.8, "texture_distinguished_chance": 0.25}
    one = a_run(tmp_path / "one", "hybrid", **SCORES, texture_right=0.9, **distinguished)
    two = a_run(tmp_path / "two", "low", **{**SCORES, "t2v_r1": 0.0}, texture_right=0.25)

    lines = [re.split(r"  +", line) for line in compare([one, two]).splitlines()]

    assert lines[0] == ["text to video", "one (hybrid)", "two (low)", "by chance"]
    assert lines[1] == ["R@1", "50.0% (39 to 61)", "0.0% (0 to 5)", "1.2%"]
    assert lines[2] == ["texture right", "90.0% (81 to 95)", "25.0% (17 to 35)", "25.0%"]
    assert lines[3] == ["texture distinguished", "80.0% (70 to 87)", "-", "25.0%"]


def test_a_run_without_scores_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: not the folder of a finished run"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="half: has no retrieval scores"):
        compare([a_run(tmp_path / "half", "hybrid")])
