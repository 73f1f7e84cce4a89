"""Values in the code that change what comes out: a data set is made with one set of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.settings import parse_config
from manifests.stages import ORDER
from pipeline.config import RunConfig
from pipeline.likeness import same
from pipeline.run.constants import constants_by_stage
from pipeline.run.session import open_run


def config_in(folder: Path) -> RunConfig:
    ids = folder / "ids.txt"
    ids.write_text("dQw4w9WgXcQ\n")
    crawl = {"sources": ["lists"], "lists": {"files": [str(ids)]}}
    tree = {"out": str(folder / "out"), "crawl": crawl, "engine": {"executor": "local"}}
    return parse_config(RunConfig, tree, source="test")


def test_a_run_with_another_constant_than_made_the_directory_is_refused_and_says_what_to_redo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_run(config_in(tmp_path)) as run:
        run.store.write_json("balance.json", {})
    with open_run(config_in(tmp_path)):
        pass

    monkeypatch.setattr(same, "LIKENESS", replace(same.LIKENESS, max_distance=9))
    changed = pytest.raises(UserError, match=r"LIKENESS\.max_distance was 8, is now 9.*--redo balance")
    with changed, open_run(config_in(tmp_path)):
        pass


def test_each_stands_under_a_stage() -> None:
    assert constants_by_stage().keys() <= set(ORDER)
