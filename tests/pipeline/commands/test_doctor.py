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
