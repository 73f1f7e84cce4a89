"""What the tables of an output directory lack: files that commits and the head name, gone or of another size.

A run looks before it goes on: a reader would take rows that are not there for rows that nobody wrote.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from manifests.errors import DamagedFile
from manifests.parallel import side_by_side
from manifests.schema import TABLES
from pipeline.engine.store.segments import HEAD, UNITS, Head, Segment, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER, IDS_NAME, PART, name_of


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a table that is named by a commit or the head. `bytes_`: -1 if nobody knows how long it should be;
    `has_bytes`: how long it is, -1 if it is gone.
    """

    stage: str
    path: str
    bytes_: int
    has_bytes: int

    @property
    def fault(self) -> str:
        """What a look at the folder shows; "" if nothing."""
        if self.has_bytes < 0:
            return "is gone"
        return "" if self.bytes_ in (-1, self.has_bytes) else f"has {self.has_bytes} bytes, not {self.bytes_}"


def table_files(store: Store) -> Iterator[TableFile]:
    """The files of all tables that count: parts of units in no segment, and those of segments.

    DamagedFile if there are segments, and the head that says which of them count is gone.
    """
    head, seen = read_head(store)
    if seen is None and store.folders(FOLDER):
        raise DamagedFile(f"{store.url}/{HEAD}: is gone; restore it, or begin again in another output directory")
    stages = store.commits.stages()
    yield from loose_files(store, head, stages, (*TABLES, *(f"rejects/{stage}" for stage in stages)))
    listed = side_by_side(store.sizes, [segment.folder for segment in head.segments])
    for segment, sizes in zip(head.segments, listed, strict=True):
        yield from _files_of(segment, sizes)
    for ids in head.ids:
        sizes = store.sizes(ids.path.rpartition("/")[0])
        yield TableFile(ids.stage, ids.path, ids.bytes, sizes.get(IDS_NAME, -1))


def loose_files(store: Store, head: Head, stages: Iterable[str], folders: Iterable[str]) -> Iterator[TableFile]:
    """The parts of stages in folders of tables that are in no segment."""
    where = {stage: store.loose(head, stage) for stage in stages}
    for folder in folders:
        named = [(path, stage) for stage, units in where.items() for _, path in store.commits.parts(units, folder)]
        present = set(store.names(folder, PART)) if named else set()
        for path, stage in sorted(named):
            yield TableFile(stage, path, -1, 0 if name_of(path) in present else -1)


def _files_of(segment: Segment, sizes: Mapping[str, int]) -> Iterator[TableFile]:
    units = f"{UNITS}.parquet"
    wanted = {units: -1, **{name: size for name, size in segment.sizes.items() if name != IDS_NAME}}
    for name, size in wanted.items():
        yield TableFile(segment.stage, f"{segment.folder}/{name}", size, sizes.get(name, -1))
