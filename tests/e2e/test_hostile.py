"""Hostile inputs at every door cost themselves: nothing escapes, nothing else is lost, nothing takes too long."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import hostile
from bench.hostile import FAULTS, GROUPS, Result, a_home, try_case
from bench.hostile_inputs import Case, Home, NeighbourLost

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(samples: Path) -> Iterator[Home]:
    with a_home(samples) as home:
        yield home


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("share", "least"), [(0.004, 12), pytest.param(1.0, 3000, marks=pytest.mark.long)])
def test_hostile_inputs_find_no_way_in(samples: Path, share: float, least: int) -> None:
    """In a process of its own: inputs are forked, and a library that other tests used may have threads by now."""
    command = [sys.executable, "-m", "bench.hostile", "--share", str(share), "--samples", str(samples)]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.findall(r"(\d+) inputs tried", done.stdout)[0]) >= least
    shown = dict(re.findall(r"^  ([\w ]+): \d+ \((\d.*)\)$", done.stdout, re.MULTILINE))
    assert set(shown) == set(GROUPS)
    assert share < 1 or all("," in kinds for kinds in shown.values()), "each group has verdicts of more than one kind"


def misbehave(folder: Path, home: Home, how: str) -> str:
    match how:
        case "tracebacks":
            raise RuntimeError("unforeseen")
        case "neighbours lost":
            raise NeighbourLost("good1")
        case "escapes":
            (folder.parent.parent / f"{folder.parent.name}.escaped").write_text("x")
        case "files read outside":
            (home.trap / "secret.txt").read_bytes()
        case "requests":
            import socket

            port = int(home.trap_url.rsplit(":", 1)[1].partition("/")[0])
            socket.create_connection(("127.0.0.1", port)).close()
        case "over 500 MB":
            bytearray(600 * 1000**2)[::4096] = b"x" * len(range(0, 600 * 1000**2, 4096))
        case "over 5 CPU s":
            while sum(range(200_000)) and time.process_time() < 1.2:
                pass
    return how


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_seen_where_there_is_one(home: Home, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "MAX_CPU_S", 1.0)
    result = try_case(Case("none", fault, lambda folder: misbehave(folder, home, fault)), home)

    assert fault in result.faults()
    assert isinstance(result, Result)
