"""The version of this program, as rejects and manifests name it."""

from functools import cache
from importlib import metadata


@cache
def program_version() -> str:
    """The installed distribution's version; "" where the code runs without having been installed."""
    try:
        return metadata.version("hdvila")
    except metadata.PackageNotFoundError:
        return ""


def print_version(asked: bool) -> None:
    """The callback of `--version`: prints it and ends the program."""
    if asked:
        print(f"hdvila {program_version() or 'not installed'}")
        raise SystemExit(0)


def made_by() -> str:
    """How the detail of an `internal_error` begins: whether another version may do better is told by it."""
    return f"hdvila {program_version()}: "
