"""The two sides stand alone: the pipeline runs without torch, the trainer without Ray and yt-dlp."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent

IMPORT_ALL = """
import importlib, pkgutil, sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ImportError(f"{{name}} is forbidden here")

sys.meta_path.insert(0, Forbidden())
for top in {packages!r}:
    package = importlib.import_module(top)
    for found in pkgutil.walk_packages(package.__path__, top + "."):
        if found.name.partition(".testing")[1] or found.name.endswith("__main__"):
            continue
        importlib.import_module(found.name)
"""


def import_all(packages: list[str], forbidden: set[str]) -> subprocess.CompletedProcess[str]:
    code = IMPORT_ALL.format(packages=packages, forbidden=forbidden)
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=REPO, timeout=500)


@pytest.mark.parametrize(
    ("packages", "forbidden"),
    [
        (["manifests"], {"ray", "torch", "yt_dlp", "pipeline", "train"}),
        (["manifests", "pipeline", "miniyoutube"], {"torch", "torchvision", "decord", "train", "pytest", "moto"}),
        (["manifests", "train"], {"ray", "yt_dlp", "pipeline", "scenedetect", "pytest", "moto"}),
    ],
    ids=["contract", "pipeline", "trainer"],
)
def test_each_side_imports_without_the_others_parts(packages: list[str], forbidden: set[str]) -> None:
    result = import_all(packages, forbidden)

    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("command", ["cut", "show", "verify"])
def test_commands_for_local_files_need_neither_ray_nor_yt_dlp(command: str) -> None:
    code = (
        "import sys\n"
        "from pipeline import cli\n"
        "from typer.testing import CliRunner\n"
        f"result = CliRunner().invoke(cli.app, [{command!r}, '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "loaded = {'ray', 'yt_dlp'} & {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded, loaded\n"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=REPO, timeout=500)

    assert result.returncode == 0, result.stderr[-2000:]


def test_a_command_imports_no_other_command() -> None:
    code = (
        "import sys\n"
        "from pipeline import cli\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(cli.app, ['cut', '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print(sorted(name for name in sys.modules if name.startswith('pipeline.commands.')))\n"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=REPO, timeout=500)

    assert result.stdout.strip() == "['pipeline.commands.cut']", result.stderr[-2000:]
