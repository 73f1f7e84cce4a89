"""What make says where Python will not do: one sentence, before anything is made."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPO


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("exit 1", "needs Python 3.11, 3.12 or 3.13"),
        ('case "$2" in *ensurepip*) exit 1; esac', "apt install python3-venv"),
    ],
    ids=["too old", "as Debian has it"],
)
def test_a_python_that_will_not_do_is_refused_with_one_sentence(python: str, says: str, tmp_path: Path) -> None:
    fake, venv = tmp_path / "python", tmp_path / "venv"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o700)
    command = ["make", "demo", f"PYTHON={fake}", f"VENV={venv}"]
    by_hand = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=REPO, env=by_hand, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2 and not venv.exists()
    assert len(done.stdout.splitlines()) == 1 and says in done.stdout
