"""The command that looks a machine over."""

import json
from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from pipeline.commands.doctor import doctor as command


def test_the_command_prints_json_and_exits_with_1_on_a_fault(tmp_path: Path) -> None:
    app = Typer()
    app.command()(command)
    good = CliRunner().invoke(app, ["--json", "--offline"])
    assert good.exit_code == 0
    assert {"name", "state", "found", "cure"} == set(json.loads(good.stdout)[0])
    bad = CliRunner().invoke(
        app,
        [
            "--offline",
            "--set",
            "out=" + str(tmp_path),
            "--set",
            "crawl.identities=[{name: one, proxy: http://127.0.0.1:9}]",
        ],
    )
    assert bad.exit_code == 1
    assert "check its address" in " ".join(bad.stdout.split())


def test_the_table_fits_80_columns_and_cuts_no_name(tmp_path: Path) -> None:
    name = "an_identity_with_a_long_name_x32"
    app = Typer()
    app.command()(command)
    settings = ["--set", f"out={tmp_path}", "--set", f"crawl.identities=[{{name: {name}, proxy: http://127.0.0.1:9}}]"]
    said = CliRunner().invoke(app, ["--offline", *settings], env={"COLUMNS": "80"}).stdout
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    for what in (f"cookies of {name}", f"proxy of {name}", "JavaScript runtime", "challenge solver"):
        assert any(f" {what} " in line for line in lines), what
    assert "→ check its address and whether it runs" in " ".join(said.split())
