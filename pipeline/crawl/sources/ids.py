"""The ids source: a text file of video ids or addresses, one per line; `#` begins a comment."""

from collections.abc import Iterator
from pathlib import Path

from manifests.origin import video_id_of
from pipeline.crawl.sources import Listed
from pipeline.crawl.sources.lines import read_lines


def list_file(path: Path, cursor: int) -> Iterator[tuple[Listed, int]]:
    """Yields (result, byte offset after its line). A line without an id is a result too: a `bad_id` reject."""
    for position, (line, after) in enumerate(read_lines(path, cursor)):
        text = line.partition("#")[0].strip() if not line.startswith("http") else line.partition(" ")[0]
        if text:
            yield Listed(video_id_of(text) or text[:64], position), after
