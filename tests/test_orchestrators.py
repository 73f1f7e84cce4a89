"""The page on orchestrators: what it gives to copy does what it says, where a stub stands for the scheduler."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import pipeline.cli
from manifests.exits import ExitCode
from tests.conftest import REPO

BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", (REPO / "docs" / "orchestrators.md").read_text(), re.DOTALL))
RUN = """#!/bin/bash
trap 'sleep .2; exit 75' TERM
echo "$@" >> asked
[ "$CODE" != stopped ] || { sleep 60 & wait; }
exit $CODE
"""


@pytest.mark.parametrize(
    ("code", "ends_with", "requeued"),
    [("0", 0, False), ("1", 1, False), ("2", 2, False), ("75", 0, True), ("3", 0, True), ("stopped", 0, True)],
)
def test_the_script_for_slurm_requeues_what_can_go_on(
    code: str, ends_with: int, requeued: bool, tmp_path: Path
) -> None:
    programs = {"hdvila-pipeline": RUN, "scontrol": '#!/bin/sh\necho "$@" > requeued\n', "job": BLOCKS["bash"]}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CODE": code}
    environment |= {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2"}
    job = subprocess.Popen(["bash", tmp_path / "job"], cwd=tmp_path, env=environment)
    until = time.monotonic() + 60
    while not (tmp_path / "asked").exists() and time.monotonic() < until:
        time.sleep(0.05)
    if code == "stopped":
        job.send_signal(signal.SIGTERM)

    assert job.wait(timeout=60) == ends_with
    requeues = (tmp_path / "requeued").read_text() if (tmp_path / "requeued").exists() else ""
    assert requeues == ("requeue 7\n" if requeued else "")
    parsed((tmp_path / "asked").read_text().split())


def parsed(words: list[str]) -> None:
    """Raises if our program does not take these words."""
    program: Any = typer.main.get_command(pipeline.cli.app)
    program.commands[words[0]].make_context(words[0], words[1:])


def test_the_kubernetes_job_tries_again_what_can_go_on_and_mounts_what_it_names() -> None:
    job = yaml.safe_load(BLOCKS["yaml"])["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]

    ends = job["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert ends["containerName"] == container["name"] and pod["restartPolicy"] == "Never"
    hopeless = {ExitCode.INCOMPLETE, ExitCode.USER_ERROR, ExitCode.INTERNAL, ExitCode.NOTHING_MATCHED}
    assert set(ends["values"]) == {int(code) for code in hopeless}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    parsed(container["command"][container["command"].index("hdvila-pipeline") + 1 :])


def test_the_dagster_asset_is_python_and_calls_commands_that_there_are() -> None:
    compile(BLOCKS["python"], "crawl.py", "exec")
    for call in re.findall(r"\[\"hdvila-pipeline\", ([^\]]*)\]", BLOCKS["python"]):
        words = call.replace("CONFIG", '"run.yaml"').replace("OUT", '"out"')
        parsed([word.strip(' "') for word in words.split(",")])
