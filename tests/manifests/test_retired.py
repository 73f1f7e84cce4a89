"""Whoever writes a name that is gone is told what to use instead, on the command line and in a configuration."""

import pytest
from typer.testing import CliRunner

import pipeline.cli
import train.cli
from manifests.errors import ConfigError
from manifests.retired import PIPELINE, SETTINGS, TRAIN
from manifests.settings import parse_config
from pipeline.config import RunConfig
from train.config import TrainConfig

LINES = [(pipeline.cli.app, name) for name in PIPELINE] + [(train.cli.app, name) for name in TRAIN]
NESTED_IN_LISTS = ("crawl.identities",)
"""Sections of which there are several, in a list."""


@pytest.mark.parametrize(("app", "name"), LINES)
def test_a_command_or_option_that_is_gone_says_what_to_use_instead(app, name: str) -> None:
    done = CliRunner().invoke(app, name.split())

    told = {**PIPELINE, **TRAIN}[name]
    assert isinstance(done.exception, SystemExit | Exception)
    assert told in f"{done.output}{done.exception}"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_gone_says_what_to_use_instead(name: str) -> None:
    key, _, value = name.partition("=")
    *sections, leaf = key.split(".")
    tree: object = {leaf: value or {}}
    for n in reversed(range(len(sections))):
        inner = [tree] if ".".join(sections[: n + 1]) in NESTED_IN_LISTS else tree
        tree = {sections[n]: inner}

    told = []
    for model in (RunConfig, TrainConfig):
        with pytest.raises(ConfigError) as refused:
            parse_config(model, tree, source="run.yaml")  # type: ignore[arg-type]
        told.append(str(refused.value))

    assert any(f"{leaf}: no longer there; {SETTINGS[name]}" in text for text in told)
