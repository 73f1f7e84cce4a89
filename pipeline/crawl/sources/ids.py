"""The ids source: a text file of video ids or addresses, one per line; `#` begins a comment.

Files are read by line from a byte offset on, so that a listing can continue where it stopped.
"""

from collections.abc import Iterator
from pathlib import Path

from manifests.errors import UserError
from manifests.origin import video_id_of
from pipeline.crawl.sources import Listed

MAX_LINE_BYTES = 4 * 1024**2


def list_file(path: Path, cursor: int) -> Iterator[tuple[Listed, int]]:
    """Yields (result, byte offset after its line). A line without an id is a result too: a `bad_id` reject."""
    for position, (line, after) in enumerate(read_lines(path, cursor)):
        text = line.partition("#")[0].strip() if not line.startswith("http") else line.partition(" ")[0]
        if text:
            yield Listed(video_id_of(text) or text[:64], position), after


def read_lines(path: Path, cursor: int = 0) -> Iterator[tuple[str, int]]:
    """Yields (line without its end, byte offset after it), from `cursor` on. UserError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(cursor)
            while line := file.readline(MAX_LINE_BYTES):
                yield line.decode("utf-8", errors="replace").strip().removeprefix("\ufeff"), file.tell()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
