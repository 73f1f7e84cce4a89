"""Files read a line at a time from a byte on, so that a listing can go on where it stopped."""

from collections.abc import Iterator
from pathlib import Path

from manifests.errors import UserError

MAX_LINE_BYTES = 4 * 1024**2


def read_lines(path: Path, cursor: int = 0) -> Iterator[tuple[str, int]]:
    """(line without its end, byte after it), from byte `cursor`. UserError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(cursor)
            while line := file.readline(MAX_LINE_BYTES):
                yield line.decode("utf-8", errors="replace").strip().removeprefix("\ufeff"), file.tell()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
