"""Files that are there whole or not at all, whoever is killed while writing."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a hidden path beside this one, to be written; at the end it takes this one's place. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield part
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
