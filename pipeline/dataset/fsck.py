"""Reads every file of an output directory through, names each that is not as it was written, and makes again what the
rest can make: the manifest of its copy, indexes, cards, the counts of a shard, the report; what runs compare by is
deleted, and the next run makes it again.

What is whole is noted in fsck.json every minute, with its size and stamp, so that a check that was ended goes on there.
`verify` reads what is in shards, sample by sample; this reads bytes, of all files.
"""

import stat
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from manifests.errors import DamagedFile, UserError
from manifests.lock import RunLock
from manifests.shards import MANIFEST_NAME, PUBLISHED, TABLE_NAME, TOMBSTONES, Manifest, read_manifest, read_published
from pipeline.crawl.sources.tables import name_of_list, opened
from pipeline.dataset.hashes import (
    BATCHES,
    CURES,
    MADE_AGAIN,
    Hashed,
    Remake,
    hashed_files,
    hashed_lists,
    hashed_tables,
    hashed_videos,
)
from pipeline.dataset.ledger import LEDGER, is_published, note_files, noted
from pipeline.dataset.verify_shard import Fault
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import RUN_FILE
from pipeline.outdir.tombstones import COPY
from pipeline.report.page import write_report
from pipeline.shards.files import put_stats, shard_files
from pipeline.shards.manifest import given_head, publish

PROGRESS = "fsck.json"
NOTE_EVERY_S = 60.0
REMAKES: tuple[Remake, ...] = ("tombstones", "batches", "stats", "delete", "publish", "report")
"""In the order in which they are made: each of those before it."""
THREADS = 4
"""Files read at a time: hashing leaves the interpreter to others."""


@dataclass(slots=True)
class Fsck:
    """A check under way. `addresses`: those that the owner's configuration names, of the lists that may be asked for: a
    stranger's data set opens none. `n_left`: the faults that could not be mended. `n_in_pieces`: the inputs of which
    head, middle and tail were read. `n_not_asked`: the lists at other addresses.
    """

    store: Store
    addresses: Collection[str] = ()
    n_files: int = 0
    n_bytes: int = 0
    n_left: int = 0
    n_in_pieces: int = 0
    n_not_asked: int = 0
    _done: dict[str, list[str | int]] = field(default_factory=dict)
    _noted_at: float = field(default_factory=time.monotonic)

    def run(self) -> Iterator[Fault]:
        """Yields every fault, and what was done about it. LockHeld while a run works on the directory; UserError if
        nothing of ours is there.
        """
        if not any(self.store.exists(name) for name in (RUN_FILE, MANIFEST_NAME, LEDGER)) and not self.store.stages():
            raise UserError(f"{self.store.url}: holds no run and no data set")
        with RunLock(self.store):
            self._done = self._done_before()
            try:
                yield from self._check()
            except BaseException:
                self.store.write_json(PROGRESS, self._done)
                raise
            self.store.delete(PROGRESS)
            if not self.n_left:
                note_files(self.store, at_rest=True)

    def _done_before(self) -> dict[str, list[str | int]]:
        try:
            done: dict[str, list[str | int]] = self.store.read_json(PROGRESS)
        except (FileNotFoundError, DamagedFile):
            return {}
        return done

    def _check(self) -> Iterator[Fault]:
        names, faults = self._names()
        yield from faults
        manifest, faults = self._manifest(names)
        yield from faults
        files = list(hashed_files(self.store, names, manifest))
        unreadable: dict[str, str] = {}
        for listed in (hashed_tables, hashed_videos, self._lists):
            try:
                files += listed(self.store)
            except DamagedFile as error:
                unreadable |= dict([_said(self.store, error)])
            except FileNotFoundError:  # of a table: it is among its files, and named as gone
                continue
        wrong = [(file, fault) for file, fault in self._read(files) if fault]
        yield from self._mended(wrong, manifest)
        for where in unreadable.keys() - {file.path for file, _ in wrong}:
            yield self._left(where, unreadable[where])

    def _lists(self, store: Store) -> Iterator[Hashed]:
        """The lists that may be asked for, each under its address with all that its owner's configuration says."""
        named = {name_of_list(address): address for address in self.addresses}
        for file in hashed_lists(store):
            if file.address and file.address not in named:
                self.n_not_asked += 1
                continue
            yield replace(file, address=named.get(file.address, ""))

    def _names(self) -> tuple[set[str], list[Fault]]:
        """The names of files that should be there; a ledger that cannot be read is deleted."""
        store, names, faults = self.store, set[str](), []
        try:
            names = set(noted(store))
            if not names and store.exists(RUN_FILE) and store.exists(MANIFEST_NAME):
                faults = [Fault(LEDGER, "is gone; written again, of what is there")]
        except DamagedFile as error:
            faults = [Fault(LEDGER, f"{_said(store, error)[1].partition('; ')[0]}; written again, of what is there")]
            store.delete(LEDGER)
        if not store.exists(RUN_FILE) and store.stages() and RUN_FILE not in names:
            faults.append(self._left(RUN_FILE, "is gone", CURES[RUN_FILE]))
        return names, faults

    def _manifest(self, names: Collection[str]) -> tuple[Manifest | None, list[Fault]]:
        """The manifest in force, restored from its copy if it must be."""
        store = self.store
        if not (MANIFEST_NAME in names or store.exists(MANIFEST_NAME)):
            return None, []
        where, said = MANIFEST_NAME, "is gone"
        try:
            if store.exists(MANIFEST_NAME):
                said = "is not as it was published"
                if is_published(store, names):  # first: what it says of its table may be what is damaged
                    return read_manifest(store.url, **dict(store.options)), []
        except UserError as error:
            where, said = _said(store, error)
            said = said.partition("; ")[0]
        copy = _newest(store)
        if copy is None:
            return None, [self._left(where, said, CURES[MANIFEST_NAME])]
        store.write(TABLE_NAME, store.read(f"{PUBLISHED}/{copy.head['shards_sha256']}.parquet"))
        store.write(MANIFEST_NAME, store.read(f"{PUBLISHED}/{copy.sha256}.json"))
        restored = read_manifest(store.url, **dict(store.options))
        return restored, [Fault(where, f"{said}; made again from {PUBLISHED}/{copy.sha256}.json")]

    def _read(self, files: Sequence[Hashed]) -> Iterator[tuple[Hashed, str]]:
        """(file, what is wrong with it, "" if nothing) of each."""
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fsck")
        try:
            faults = counted(pool.map(self._fault_of, files), len(files), "fsck", "files")
            for file, fault in zip(files, faults, strict=True):
                yield file, fault
                if time.monotonic() - self._noted_at > NOTE_EVERY_S:
                    self._noted_at = time.monotonic()
                    self.store.write_json(PROGRESS, dict(self._done))
        finally:
            pool.shutdown(cancel_futures=True)

    def _fault_of(self, file: Hashed) -> str:
        if file.address:
            return self._fault_at_address(file)
        try:
            stamp = self._stamp(file)
            if self._done.get(file.path) == stamp:
                return ""
            with file.source.open("rb") if file.source else self.store.open(file.path) as opened:
                is_right = file.is_right(opened)
        except FileNotFoundError:
            return "is gone"
        except (DamagedFile, IsADirectoryError):
            return "is not a file"
        except OSError as error:
            if file.source is None and not self.store.is_local:
                raise  # the store is away: that is no fault of a file
            return f"cannot be read ({error.strerror})"
        self.n_files, self.n_bytes = self.n_files + 1, self.n_bytes + int(stamp[0])
        self.n_in_pieces += file.in_pieces
        if not is_right:
            return "is not as it was written" if file.source is None else "is not the file that was looked at"
        self._done[file.path] = stamp
        return ""

    def _fault_at_address(self, file: Hashed) -> str:
        """Of a list, read as a run reads it: once, and again by a check that goes on."""
        try:
            with opened(file.address) as (_, raw):
                is_right = file.is_right(raw)
                self.n_files, self.n_bytes = self.n_files + 1, self.n_bytes + raw.tell()
        except UserError as error:
            return str(error).removeprefix(f"{file.path}: ").removesuffix("; check crawl.lists.files")
        self.n_in_pieces += file.in_pieces
        return "" if is_right else "is not the file that was read"

    def _stamp(self, file: Hashed) -> list[str | int]:
        """A file's size, and when it was written or, in a bucket, its tag there."""
        if file.source:
            facts = file.source.stat()
            if not stat.S_ISREG(facts.st_mode):  # a pipe or a device would be read for ever
                raise IsADirectoryError
            return [facts.st_size, str(facts.st_mtime_ns)]
        info = self.store.fs.info(self.store.path(file.path))
        return [int(info["size"]), str(info.get("ETag") or info.get("mtime") or "")]

    def _mended(self, wrong: Sequence[tuple[Hashed, str]], manifest: Manifest | None) -> Iterator[Fault]:
        done: dict[Remake, str] = {}
        for remake in REMAKES:
            done[remake] = self._remake(remake, [file.path for file, _ in wrong if file.remake == remake], manifest)
        for file, fault in wrong:
            if said := done.get(file.remake, ""):
                yield Fault(file.path, f"{fault}; {said}")
            else:
                yield self._left(file.path, fault, file.cure)

    def _remake(self, remake: Remake, paths: Collection[str], manifest: Manifest | None) -> str:
        """Makes these files again; what to say of it, "" if that was not possible."""
        store = self.store
        if not paths:
            return ""
        try:
            if remake == "delete":
                store.delete_all(list(paths))
                return MADE_AGAIN
            if remake == "report":
                write_report(store)
                return "made again"
            if remake == "tombstones":
                left = {TOMBSTONES, COPY}.difference(paths)
                for path in paths if left else ():
                    store.write(path, store.read_sealed(*left))
                return "made again from the other" if left else ""
            if remake == "batches":
                return _plan_again(store, sorted(paths))
            if manifest is None:
                return ""
            if remake == "stats":
                for entry in (entry for entry in manifest.shards if shard_files(entry.url)[2] in paths):
                    put_stats(store, entry)
            else:
                store.delete_all([path for path in paths if path.endswith(".arrow")])
                head, card = given_head(dict(manifest.head))
                publish(store, manifest.shards, head, card)
        except (UserError, FileNotFoundError):  # what it is made from is wrong too, and is named
            return ""
        return "made again"

    def _left(self, where: str, *what: str) -> Fault:
        self.n_left += 1
        return Fault(where, "; ".join(what))


def _plan_again(store: Store, lost: Sequence[str]) -> str:
    """Makes records of batches again (pipeline/run/batches.py): in the first the videos that media made and no other
    batch names, and what was known as at the batch before. Those after the last that is whole are planned by the next
    run, if media made nothing of theirs.
    """
    whole = {path: store.read_json(path) for name in store.names(BATCHES) if (path := f"{BATCHES}/{name}") not in lost}
    named = {video_id for facts in whole.values() for video_id in facts["video_ids"]}
    made = sorted(store.committed("media") - named)
    for path in lost:
        if not whole or (not made and path > max(whole)):
            store.delete_all([path])
            continue
        like = whole[max((other for other in whole if other < path), default=min(whole))]
        n_known = min(like["n_known"], int(PurePosixPath(path).stem))
        store.write_json(path, {**like, "video_ids": made, "long": {}, "n_known": n_known})
        made = []
    return "made again, as far as it can be: the next run plans what is missing"


def _newest(store: Store) -> Manifest | None:
    """The published manifest that is the parent of no other; None if none is whole."""
    found: dict[str, Manifest] = {}
    for name in store.names(PUBLISHED):
        if name.endswith(".json"):
            try:
                manifest = read_published(store.url, name.removesuffix(".json"), **dict(store.options))
            except UserError:
                continue
            found[manifest.sha256] = manifest
    parents = {manifest.head.get("parent") for manifest in found.values()}
    last = [manifest for sha256, manifest in found.items() if sha256 not in parents]
    return max(last, key=lambda manifest: str(manifest.head.get("created_at")), default=None)


def _said(store: Store, error: UserError) -> tuple[str, str]:
    """(file, what is wrong with it) of a message that begins with the file."""
    where, _, what = str(error).replace(f"{store.url}/", "").partition(": ")
    return where, what
