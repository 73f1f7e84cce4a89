"""The table of stages is the one that the program follows: its classes, tables and settings name no other stage."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

import pipeline
from manifests.schema import TABLES
from manifests.settings import identity_values, walk_keys
from manifests.stages import ENDS, ORDER, STAGES, TABLE, TABLES_MADE, find_stage, names_of, rank_of
from pipeline.config import RunConfig
from pipeline.likeness import pictures, sentences, texts
from pipeline.likeness.stage import LikenessStage
from pipeline.text.added_stage import AddedStage


def stage_classes() -> Iterator[type]:
    """Every class of the pipeline that the engine can run: it has units and process."""
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if ".testing" in module.name or ".demo" in module.name:
            continue
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if found.__module__ == module.name and not getattr(found, "_is_protocol", False):
                yield from [found] if hasattr(found, "units") and hasattr(found, "process") else []


def test_every_stage_that_runs_is_in_the_table() -> None:
    ours = set(stage_classes()) - {AddedStage, LikenessStage}
    names = {found.__dataclass_fields__["name"].default for found in ours}  # type: ignore[attr-defined]
    names |= {kind_of().stage for kind_of in (pictures.kind_of, sentences.kind_of, texts.kind_of)}

    assert names == set(ORDER) - {"balance", "manifest"}, "these two are written by the driver"


def test_a_stage_of_another_package_goes_by_the_facts_of_the_one_that_it_builds_on() -> None:
    for name in ("clips__short", "clips__short__quiet"):
        assert (find_stage(name), rank_of(name)) == (find_stage("clips"), rank_of("clips"))
    assert find_stage("short") is None


def test_the_table_names_the_tables_of_the_schema() -> None:
    assert set(TABLES_MADE) == set(TABLES)
    assert {table for stage in TABLE for table in (*stage.reads, stage.void_by)} <= {*TABLES, ""}


def test_every_identity_key_names_a_stage() -> None:
    config = RunConfig(out="unused")
    unknown = {key: stage for key, (_, stage) in identity_values(config).items() if find_stage(stage) is None}

    assert unknown == {}


def test_every_section_names_a_stage_or_none() -> None:
    sections = [field.annotation for _, field in walk_keys(RunConfig)]
    named: list[Any] = [s for s in sections if inspect.isclass(s) and issubclass(s, BaseModel)]

    assert [s for s in named if getattr(s, "stage", "") and find_stage(s.stage) is None] == []


def test_no_name_is_given_twice() -> None:
    names = [name for stage in TABLE for name in (stage.name, *stage.aliases)]

    assert len(names) == len(set(names))


def test_a_balance_begins_before_the_media_and_decides_after_it() -> None:
    assert ORDER.index("balance") < ORDER.index("media")
    assert rank_of("balance") > rank_of("media") and rank_of("nonesuch") == len(ENDS)
    assert sorted(ENDS) == sorted(ORDER) == sorted(STAGES)


def test_an_alias_stands_for_its_stage_and_retries_are_known_by_stage() -> None:
    found = find_stage("fetch")

    assert found is not None and found.name == "media"
    assert names_of("round") == ("choose", "extract") and "media" in names_of("unit")
