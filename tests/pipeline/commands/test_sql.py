"""`hdvila-pipeline sql`, as a person and as other programs call it."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.engine.store.store import Store
from tests.pipeline.commands.program import said
from tests.pipeline.engine.merges import fill


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An output directory with six clips."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    fill(Store(str(tmp_path / "out")), ["u1", "u2"])
    return str(tmp_path / "out")


def started(out: str, text: str) -> "subprocess.Popen[str]":
    """The command as a person starts it; tests that run in a shell's background hand on that Ctrl-C is ignored."""
    command = [sys.executable, "-m", "pipeline", "sql", out, text]
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ), preexec_fn=hears
    )


def test_another_program_gets_csv_unless_it_asks_for_something_else(out: str) -> None:
    text = "SELECT video_id, count(*) AS n FROM clips GROUP BY ALL ORDER BY video_id LIMIT 1"
    assert said("sql", out, text) == "video_id,n\nu1-0,2\n"
    assert said("sql", out, text, "--format", "jsonl") == '{"video_id": "u1-0", "n": 2}\n'
    assert said("sql", out, text, "--format", "table").split() == ["video_id", "n", "u1-0", "2"]


def test_a_directory_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run has written here"):
        said("sql", str(tmp_path / "nowhere"), "SELECT 1")


def test_who_reads_only_the_first_lines_ends_it_quietly(out: str) -> None:
    asked = started(out, "SELECT * FROM range(100000000)")
    assert asked.stdout is not None and asked.stderr is not None
    assert [asked.stdout.readline() for _ in range(2)] == ["range\n", "0\n"]
    asked.stdout.close()
    assert asked.wait(timeout=60) == 0
    assert asked.stderr.read() == ""


def test_ctrl_c_ends_a_question_that_has_no_end(out: str) -> None:
    asked = started(out, "SELECT count(*) FROM range(1000000000000) WHERE range % 7 = 3")
    while not list((Path(os.environ["XDG_CACHE_HOME"]) / "hdvila" / "tables").glob("*.spill-*")):
        assert asked.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)
    asked.send_signal(signal.SIGINT)
    _, error = asked.communicate(timeout=60)
    assert asked.returncode == 130, error
    assert "interrupted" in error and "Traceback" not in error
