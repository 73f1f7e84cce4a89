"""commits/ledger.parquet: the names of the files of an output directory, so that one that is gone is missed, and of the
files that a run reads its lists from, with their hashes.

Where a file's hash is: tables and documents carry their own (manifests/parquet.py, manifests/seals.py); commits, packs
and published manifests have it in their names; those of shards and indexes are in the manifest. None says that another
file was there. A run writes the names when it ends; when it begins, it keeps those of files that no run takes away:
what it plans is added to, and what it publishes.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa

from manifests.errors import DamagedFile
from manifests.funnel import SELECTION_NAME
from manifests.parquet import damage_named, open_parquet
from manifests.run_status import STATUS_NAME
from manifests.sample_index import INDEXES
from manifests.shards import MANIFEST_NAME, PUBLISHED, RECORDS, TABLE_NAME, TOMBSTONES
from manifests.stages import ORDER, rank_of
from pipeline.balance.result import BALANCE_NAME
from pipeline.dataset.pushes import PUSHES_NAME
from pipeline.engine.store.lost import table_files
from pipeline.engine.store.segments import HEAD
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER, IDS_NAME, PART
from pipeline.outdir.identity import RUN_FILE, stage_of_redo
from pipeline.outdir.remade import ALIKE
from pipeline.outdir.tombstones import read_tombstones, refuse_while_under_way
from pipeline.shards.closed import read_entries
from pipeline.shards.manifest import CARD_NAME, CROISSANT_NAME, SIZES_NAME, WIDS_NAME

log = logging.getLogger("hdvila")

COMMITS = "commits"
LEDGER = f"{COMMITS}/ledger.parquet"
TOP = (
    *(RUN_FILE, STATUS_NAME, BALANCE_NAME, SELECTION_NAME, TOMBSTONES, PUSHES_NAME),
    *(MANIFEST_NAME, TABLE_NAME, WIDS_NAME, SIZES_NAME, CARD_NAME, CROISSANT_NAME),
)
"""The files at the top of an output directory."""
_PLANS = ("rounds", "batches", "generations", PUBLISHED, RECORDS)
"""Folders that a run adds to, and takes nothing away of."""
FOLDERS = (*_PLANS, "shards", INDEXES, "packs", COMMITS, ALIKE, "report")
"""Folders without those of tables and segments, whose files commits and the head name, and of what comes and goes."""
_TRUTHS = (RUN_FILE, HEAD, MANIFEST_NAME, TABLE_NAME)
"""Single files that nothing else can be made without."""
MOST_NAMED = 3


def files_in(store: Store) -> Iterator[str]:
    """The paths of all files that are there, in the order of their names within a folder."""
    yield from (name for name in store.names("") if name in TOP)
    yield from [HEAD] * store.exists(HEAD)
    for folder in FOLDERS:
        yield from (path for path in _files_below(store, folder) if path != LEDGER)


def _files_below(store: Store, folder: str) -> Iterator[str]:
    yield from (f"{folder}/{name}" for name in store.names(folder) if not name.startswith(PART))
    for name in store.folders(folder):
        yield from _files_below(store, f"{folder}/{name}")


def _is_kept(path: str) -> bool:
    """Whether no run takes a file away."""
    top, name = path.partition("/")[0], path.rpartition("/")[2]
    return path in _TRUTHS or (top in _PLANS and (top != RECORDS or name.endswith(".json")))


def note_files(store: Store, *, at_rest: bool, inputs: Mapping[str, str] | None = None) -> None:
    """Writes the names of the files that are there. `at_rest`: all, since nothing works on the directory; otherwise
    those that a run takes nothing away of. `inputs`: {file: hash} of what a run reads; None leaves what is noted.
    """
    paths = sorted(path for path in files_in(store) if at_rest or _is_kept(path))
    read = noted_inputs(store) if inputs is None else inputs
    hashes = [""] * len(paths) + list(read.values())
    store.write_table(LEDGER, pa.table({"path": pa.array([*paths, *read], pa.string()), "hash": pa.array(hashes)}))


def noted(store: Store) -> list[str]:
    """The names of the directory's files, as written last; [] if none were. DamagedFile if they cannot be read."""
    return [path for path, hash_ in _noted(store).items() if not hash_]


def noted_inputs(store: Store) -> dict[str, str]:
    """{file: hash} of what the last run read. DamagedFile as of `noted`."""
    return {path: hash_ for path, hash_ in _noted(store).items() if hash_}


def _noted(store: Store) -> dict[str, str]:
    try:
        data = store.read(LEDGER)
    except FileNotFoundError:
        return {}
    cure = "delete it: the next run writes it again"
    with damage_named(f"{store.url}/{LEDGER}", cure):
        table = open_parquet(data).read()
        return dict(zip(table.column("path").to_pylist(), table.column("hash").to_pylist(), strict=True))


def is_published(store: Store, names: Collection[str]) -> bool:
    """Whether manifest.json has the hash in the name of a copy of it, which is there or, as `names` has it, was."""
    copy = f"{hashlib.sha256(store.read(MANIFEST_NAME)).hexdigest()}.json"
    return f"{PUBLISHED}/{copy}" in names or copy in store.names(PUBLISHED)


def refuse_what_is_lost(store: Store, redo: str = "") -> None:
    """Raises DamagedFile if files that a run would go on with are gone or have another size. `redo`: the stage from
    which all is made again, so that what it and later stages made is not needed.
    """
    refuse_while_under_way(store, read_tombstones(store))
    n_needed = ORDER.index(stage_of_redo(redo)) if redo else len(ORDER)
    lost = [*_lost_tables(store, n_needed), *_lost_plans(store, n_needed), *(() if redo else _cut_shards(store))]
    if not store.exists(RUN_FILE) and store.stages():
        lost = [f"{RUN_FILE} is gone", *(said for said in lost if not said.startswith(f"{RUN_FILE} "))]
    if lost:
        more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
        raise DamagedFile(
            f"{store.url}: {', '.join(lost[:MOST_NAMED])}{more}; `hdvila-pipeline fsck {store.url}` names all, makes "
            "again what the rest can make, and says how to make what it cannot"
        )


def _lost_tables(store: Store, rank: int) -> Iterator[str]:
    """Of segments: a run goes on without the part of a unit, and says so at its end (pipeline/outdir/accounts.py)."""
    files = (file for file in table_files(store) if file.fault and file.path.startswith(f"{FOLDER}/"))
    files = (file for file in files if not file.path.endswith(f"/{IDS_NAME}"))
    yield from (f"{file.path} {file.fault}" for file in files if rank_of(file.stage) < rank)


def _is_made_anew(path: str, rank: int) -> bool:
    """Whether a run makes a file anew that makes everything anew from the stage of this rank on (`redo_from`)."""
    top = path.partition("/")[0]
    if top == "rounds":
        return rank <= ORDER.index("extract")
    return rank < len(ORDER) and top in ("generations", PUBLISHED, MANIFEST_NAME, TABLE_NAME)


def _lost_plans(store: Store, rank: int) -> Iterator[str]:
    present: dict[str, Collection[str]] = {}
    for path in noted(store):
        folder, _, name = path.rpartition("/")
        if folder not in present:
            present[folder] = set(store.names(folder))
        if name in present[folder]:
            continue
        if _is_kept(path) and not _is_made_anew(path, rank):
            yield f"{path} is gone"
        elif path.startswith(f"{COMMITS}/") and path.endswith(".json"):
            log.warning("%s/%s: is gone; what it committed is done again", store.url, path)


def _cut_shards(store: Store) -> Iterator[str]:
    if store.exists(MANIFEST_NAME) and not is_published(store, ()):
        yield f"{MANIFEST_NAME} is not as it was published"
    sizes: dict[str, dict[str, int]] = {}
    for entry in read_entries(store):
        folder, _, name = entry.url.rpartition("/")
        if folder not in sizes:
            sizes[folder] = store.sizes(folder)
        has = sizes[folder].get(name)
        if has is not None and has != entry.bytes_:
            yield f"{entry.url} has {has} bytes, not {entry.bytes_}"
        gone = [path for path in (entry.url, entry.rows_url) if path.rpartition("/")[2] not in sizes[folder]]
        yield from (f"{path} is gone" for path in gone)
