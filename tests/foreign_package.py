"""The package that docs/extending.md shows, written from the page, installed, and used by the programs themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "extending.md"


def files_of_the_page() -> dict[str, str]:
    """{path: text} of the page's blocks, each of which begins with the name of its file."""
    blocks = re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(blocks)


def installed(folder: Path) -> None:
    """Writes the package into a folder and installs it from there with pip, without the net, into `site` beside it."""
    for name, text in files_of_the_page().items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    options = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet", "--disable-pip-version-check"]
    words = [*options, "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run([sys.executable, "-m", "pip", "install", *words], check=True)


def changed(site: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of an installed package with another text in its files."""
    shutil.copytree(site, folder)
    for path in (*folder.rglob("*.py"), *folder.rglob("METADATA"), *folder.rglob("entry_points.txt")):
        path.write_text(path.read_text().replace(old, new))
    return folder


def program(name: str, *words: object, site: Path | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs hdvila-pipeline or hdvila-train in a process that finds the packages in `site`."""
    module = {"hdvila-pipeline": "pipeline", "hdvila-train": "train"}[name]
    path = os.pathsep.join(str(folder) for folder in (site, REPO) if folder)
    code = f"from {module}.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        timeout=600,
    )
