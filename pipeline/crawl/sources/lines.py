"""Reads files line by line from a byte offset on, so that a listing can continue where it stopped."""

from collections.abc import Iterator
from pathlib import Path

from manifests.errors import UserError

MAX_LINE_BYTES = 4 * 1024**2


def read_lines(path: Path, cursor: int = 0) -> Iterator[tuple[str, int]]:
    """Yields (line without its end, byte offset after it), from `cursor` on. UserError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(cursor)
            while line := file.readline(MAX_LINE_BYTES):
                yield line.decode("utf-8", errors="replace").strip().removeprefix("\ufeff"), file.tell()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
