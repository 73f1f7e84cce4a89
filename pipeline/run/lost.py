"""What an output directory lacks that a run would go on with: a run looks before it builds upon it.

Looked for are files that others name: tables by commits and the head, shards by the manifest. What is damaged and has
its size is found by whoever reads it; `verify` reads all that is in shards.
"""

import hashlib
from collections.abc import Collection, Iterator

from manifests.errors import DamagedFile
from manifests.shards import MANIFEST_NAME, PUBLISHED
from manifests.stages import ORDER, ours
from pipeline.engine.store.lost import table_files
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER, IDS_NAME, cure_of
from pipeline.outdir.identity import RUN_FILE, stage_of_redo
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way
from pipeline.shards.closed import read_entries

MOST_NAMED = 3
RESTORE = "restore it from a copy"
_REDO_SHARDS = f"{RESTORE}, or run with --redo shards where packs are kept, else with --redo media"


def refuse_what_is_lost(store: Store, redo: str = "") -> None:
    """Raises DamagedFile if files that a run would go on with are gone or have another size. `redo`: the stage from
    which all is made again, so that what it and later stages made is not needed.
    """
    refuse_while_under_way(store, read_tombstones(store))
    if not store.exists(RUN_FILE) and store.stages():
        raise DamagedFile(f"{store.url}/{RUN_FILE}: is gone; {RESTORE}, or begin again in another output directory")
    made_again = ORDER[ORDER.index(stage_of_redo(redo)) :] if redo else ()
    lost = [*_lost_tables(store, made_again), *(() if redo else _lost_shards(store))]
    if lost:
        more = f"; {len(lost) - MOST_NAMED} more files are lost" if len(lost) > MOST_NAMED else ""
        raise DamagedFile(f"{store.url}: {'; '.join(lost[:MOST_NAMED])}{more}")


def _lost_tables(store: Store, made_again: Collection[str]) -> Iterator[str]:
    """Of segments: a run goes on without the part of a unit, and says so at its end (pipeline/outdir/accounts.py)."""
    for file in table_files(store):
        of_a_segment = file.path.startswith(f"{FOLDER}/") and not file.path.endswith(f"/{IDS_NAME}")
        if file.fault and of_a_segment and ours(file.stage) not in made_again:
            yield f"{file.path} {file.fault}: {cure_of(file.path)}"


def _lost_shards(store: Store) -> Iterator[str]:
    if store.exists(MANIFEST_NAME):
        copy = f"{hashlib.sha256(store.read(MANIFEST_NAME)).hexdigest()}.json"
        if copy not in store.names(PUBLISHED):
            yield f"{MANIFEST_NAME} is not as it was published: {RESTORE}"
    sizes: dict[str, dict[str, int]] = {}
    for entry in read_entries(store):
        folder, _, name = entry.url.rpartition("/")
        if folder not in sizes:
            sizes[folder] = store.sizes(folder)
        has = sizes[folder].get(name)
        if has is not None and has != entry.bytes_:
            yield f"{entry.url} has {has} bytes, not {entry.bytes_}: {_REDO_SHARDS}"
        gone = [path for path in (entry.url, entry.rows_url) if path.rpartition("/")[2] not in sizes[folder]]
        yield from (f"{path} is gone: {_REDO_SHARDS}" for path in gone)
