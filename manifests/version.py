"""The version of this program, as rejects, manifests and the machines of a cluster name it; that of what it writes."""

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("manifests", "pipeline")

SCHEMA_VERSION = 1
"""Version of the tables, of KEY.json and of the manifest. A trainer refuses one it does not know."""


@cache
def program_version() -> str:
    """The installed distribution's version; "" where the code runs without having been installed."""
    try:
        return metadata.version("hdvila")
    except metadata.PackageNotFoundError:
        return ""


@cache
def build() -> str:
    """The version with a hash of the source that runs here: two machines that say the same run the same code."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return f"hdvila {program_version() or 'not installed'}, source {digest.hexdigest()[:12]}"


def print_version(asked: bool) -> None:
    """The callback of `--version`: prints it and ends the program."""
    if asked:
        print(f"hdvila {program_version() or 'not installed'}")
        raise SystemExit(0)


def made_by() -> str:
    """How the detail of an `internal_error` begins: whether another version may do better follows from it."""
    return f"hdvila {program_version()}: "
