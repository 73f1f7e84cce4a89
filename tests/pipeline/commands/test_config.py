"""`config` shows every key with its default as a person would write it."""

import json

from typer.testing import CliRunner

from manifests.settings import describe_keys
from pipeline.cli import app
from pipeline.config import RunConfig


def test_every_key_is_documented_and_of_a_kind() -> None:
    rows = describe_keys(RunConfig)

    assert len(rows) > 100
    assert [row["key"] for row in rows if not row["doc"] or row["kind"] not in ("identity", "operational")] == []


def test_defaults_in_brackets_are_shown_as_they_are() -> None:
    shown = CliRunner().invoke(app, ["config"]).output

    assert "[search]" in shown


def test_the_schema_is_json() -> None:
    schema = json.loads(CliRunner().invoke(app, ["config", "--schema"]).stdout)

    assert "balance" in schema["properties"]
