"""The version of this program, as named by rejects, manifests and the machines of a cluster; and that of its files."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("manifests", "pipeline")

SCHEMA_VERSION = 1
"""Version of the tables, of KEY.json and of the manifest. A trainer refuses versions it does not know."""

LAYOUT_VERSION = 4
"""Version of the files in an output directory, kept in its run.json. A directory of another version is refused."""


@cache
def program_version() -> str:
    """The installed distribution's version; "" if the code runs without being installed."""
    try:
        return metadata.version("hdvila")
    except metadata.PackageNotFoundError:
        return ""


@cache
def build() -> str:
    """The version plus a hash of the source running here: two machines with the same value run the same code."""
    root = Path(__file__).resolve().parent.parent
    source = hash_of_source(root, (path for package in _PACKAGES for path in (root / package).rglob("*.py")))
    return f"hdvila {program_version() or 'not installed'}, source {source}"


def hash_of_source(root: Path, files: Iterable[Path]) -> str:
    """12 hex digits of files under a folder, by their names there and their bytes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def print_version(asked: bool) -> None:
    """The callback of `--version`: prints it and ends the program."""
    if asked:
        print(f"hdvila {program_version() or 'not installed'}")
        raise SystemExit(0)


def made_by() -> str:
    """The prefix of an `internal_error`'s detail: it tells whether another version has yet to try."""
    return f"hdvila {program_version()}: "
