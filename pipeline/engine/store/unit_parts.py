"""Parts: what a unit wrote of a table, as a file of its own or as rows of a segment's file."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

FOLDER = "segments"
"""The folder of segments' files."""
IDS_NAME = "ids.parquet"
"""The name of files that say where the rows of videos are: `lookup`."""
MERGED_NAME = "parts.json"
"""The name of a segment's list of the parts that it was merged from."""
PART = "part-"
"""The prefix of parts' names; a table's folder may hold millions of other files, such as packs."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a committed unit wrote of a table: a file, or `n_rows` rows of a segment's file from row `first` on."""

    stage: str
    unit: str
    path: str
    first: int = 0
    n_rows: int = -1
    """-1: the whole file."""

    @property
    def table(self) -> str:
        """The table; `rejects/<stage>` for rejects."""
        folder, _, name = self.path.rpartition("/")
        if not self.path.startswith(f"{FOLDER}/"):
            return folder
        table = name.removesuffix(".parquet")
        return f"rejects/{self.stage}" if table == "rejects" else table


def cure_of(path: str) -> str:
    """What to do about a damaged file of a table."""
    folder, _, name = path.rpartition("/")
    if name == IDS_NAME:
        return "delete it: the next run makes it again"
    stage = folder.split("/")[1] if folder.startswith(f"{FOLDER}/") else "-".join(name.split("-")[1:2])
    return f"restore the file, or make what is in it again: run with --redo {stage}"


def joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Joins parts whose rows are adjacent in one file, so that fewer pieces are read."""
    for run in adjoining(parts):
        yield replace(run[0], n_rows=sum(part.n_rows for part in run))


def adjoining(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Groups parts whose rows are adjacent in one file."""
    run: list[Part] = []
    for part in parts:
        last = run[-1] if run else None
        if last and part.path == last.path and part.first == last.first + last.n_rows:
            run.append(part)
            continue
        if run:
            yield run
        run = [part]
    if run:
        yield run


def strays(names: Collection[str], kept: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith(PART) and name.endswith(".parquet") and name not in kept]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]
