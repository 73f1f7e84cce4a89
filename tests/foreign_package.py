"""The package that docs/extending.md shows, written from the page, installed, and used by the programs themselves."""

import os
import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "extending.md"


def files_of_the_page() -> dict[str, str]:
    """{path: text} of the page's blocks, each of which begins with the name of its file."""
    blocks = re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(blocks)


def written(folder: Path, **changes: str) -> Path:
    """The package's source; `changes`: {a text of its files: what stands there instead}."""
    for name, text in files_of_the_page().items():
        for old, new in changes.items():
            text = text.replace(old, new)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def installed(source: Path, site: Path) -> Path:
    """Installs a package with pip, without the net, into a folder of its own."""
    options = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)], check=True)
    return site


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
