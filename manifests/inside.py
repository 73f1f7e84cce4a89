"""What a store on a disk may write: files below its own folder, and where its owner says that a link may lead.

A data set of a stranger can hold links: `shards` that leads to another data set would have that one rewritten by a
command on this one. Who has moved `shards` to a larger disk names that disk in the environment of all commands, which
a data set cannot do.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from manifests.errors import UserError

LINKED = "HDVILA_LINKED_FOLDERS"
"""The environment variable that lists folders to which links may lead, as PATH lists its folders."""


def linked_folders() -> tuple[str, ...]:
    """The folders that $HDVILA_LINKED_FOLDERS names."""
    return tuple(name for name in os.environ.get(LINKED, "").split(os.pathsep) if name)


def refuse_outside(folder: str, root: str, linked: Sequence[str]) -> None:
    """Raises UserError if a folder below `root`, which need not exist, is behind a link to none of these places."""
    real = Path(os.path.realpath(folder))
    if not any(real.is_relative_to(os.path.realpath(place)) for place in (root, *linked)):
        raise UserError(
            f"{folder}: a link leads out of {root}, to {real}; nothing is written or deleted there. Put a folder in "
            f"the link's place; if it is your own, name its target: {LINKED}={real}"
        )


def refuse_links(root: str, linked: Sequence[str]) -> None:
    """Raises UserError if one of the folders in `root` is a link that may not be followed by what writes."""
    try:
        with os.scandir(root) as entries:
            links = sorted(entry.path for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return
    for link in links:
        if not os.path.isfile(link):  # noqa: PTH113 - Path's raises for a link to itself; a file's link is replaced
            refuse_outside(link, root, linked)
