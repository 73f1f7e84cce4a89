"""A run that is asked to end at any moment of its first seconds ends as one that is under way: by exit 75."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manifests.lock import LOCK
from tests.pipeline.run.small_runs import films_in

pytestmark = pytest.mark.slow

RUN = """
crawl: {sources: [folder]}
text: {transcript: {min_words: 3}}
media: {cut: {min_short_side: 180}}
engine: {executor: local}
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    films, file = tmp_path / "films", tmp_path / "run.yaml"
    films.mkdir()
    films_in(films)
    file.write_text(f"{RUN}\nout: {tmp_path / 'out'}\nfolder: {{path: {films}}}\n")
    return [sys.executable, "-P", "-m", "pipeline", "run", str(file)]


def begun(command: list[str]) -> subprocess.Popen[str]:
    """A run from the moment on when its first module is imported: before that the interpreter hears no signal."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not _hears(process.pid) and process.poll() is None:
        time.sleep(0.001)
    return process


def _hears(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Seconds of a processor that it has used: of a busy machine's clock they say how far it has got."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n_moments", [2, pytest.param(20, marks=pytest.mark.long)])
def test_sigterm_in_the_first_seconds_is_exit_75(command: list[str], tmp_path: Path, n_moments: int) -> None:
    first = begun(command)
    while not list((tmp_path / "out" / "commits").glob("folder/group.*")) and first.poll() is None:
        time.sleep(0.01)
    until_first_s = cpu_s(first)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=300) == 75

    moments = random.Random(34)
    for n in range(n_moments):
        run, moment_s = begun([*command, "--set", f"out={tmp_path / str(n)}"]), moments.uniform(0, until_first_s)
        while cpu_s(run) < moment_s:
            time.sleep(0.005)
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=300)
        assert run.returncode == 75, f"at {moment_s} of {until_first_s}: {said}"
        assert "stopped on request" in said and "Traceback" not in said
        assert not (tmp_path / str(n) / LOCK).exists()
