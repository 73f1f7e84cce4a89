"""A run whose `out` is an address in a bucket.

    ADDRESS/run.lock         the pipeline's lock (manifests/lock.py): a dead node's is taken over after a minute
    ADDRESS/checkpoints/     written there, and read from there (checkpoint.py)
    ADDRESS/config.yaml …    all other files of a run folder: copies of those in a folder of this machine
    ADDRESS/nodes/K/         what node K > 0 of the run kept: lost.jsonl, poisoned.txt, nonfinite/ …

A run works on the folder of this machine as on any other; what changed there is copied twice a minute, before a
checkpoint is completed, and at the end. So a new node finds, beside a checkpoint, at least what was written up to it:
it fetches the small files, and goes on. Credentials and endpoint come from the environment (AWS_ENDPOINT_URL …).
"""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import UserError, storage_errors
from manifests.files import Files
from manifests.lock import LOCK, LockLost, RunLock
from train.distributed import Process, agree, gathered
from train.loop.checkpoint import find_checkpoint
from train.whole_file import whole_file

log = logging.getLogger("hdvila")

PATIENCE_S = 600.0
"""How long a call waits for a bucket that does not answer."""
COPY_EVERY_S = 30.0
COPY_BYTES = 1 << 24
ONLY_HERE = ("index", "run.lock")
"""Files that are copied nowhere: what is fetched or made again from the data set."""
OF_A_NODE = ("lost.jsonl", "poisoned", "nonfinite", "spikes", "profile")
"""Beginnings of the names of files into which each rank writes."""
FETCHED = ("", "tokenizer")
"""Folders whose files a run reads when it goes on."""


def _nothing() -> None:
    """What is to be done for a run on a disk."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a run keeps its files."""

    here: Path
    """The folder of this machine in which it works: for a run on a disk, its own."""
    place: Files
    """The run's folder or address, which holds its checkpoints."""
    holder: str = ""
    """Names the holder of the lock of an address, in the names of files."""
    keep: Callable[[], None] = _nothing
    """Copies what has changed here to the address, now. LockLost if another run has taken the address over."""


@contextmanager
def at_address(out: str, process: Process) -> Iterator[Home]:
    """Locks an address for the block's duration and works on it in a folder of this machine. All ranks call it.

    UserError on all ranks if another run holds it.
    """
    bucket = Files(out.rstrip("/"), patience_s=PATIENCE_S)
    lock, problem = RunLock(bucket), ""
    with ExitStack() as held:
        if process.is_first:
            try:
                held.enter_context(lock)
            except UserError as error:
                problem = str(error)
        agree(problem)
        copies = Copies(bucket, working_folder(bucket.url), lock.check if process.is_first else _nothing)
        copies.fetch()
        holder = gathered(lock.held.holder[:8], process)[0]  # after this, the first rank of each node has fetched
        held.enter_context(copies.kept())
        yield Home(copies.here, bucket, holder, copies.copy)


def at_hand(run: str, *, best: bool = False) -> Path:
    """A path to a run, or to one of its checkpoints, as it is; for an address, a copy of its newest or best checkpoint.

    The copy lies in a folder of this machine, with what is needed to use it. UserError if there is none.
    """
    if "://" not in run:
        return Path(run)
    checkpoint = find_checkpoint(Files(run.rstrip("/"), patience_s=PATIENCE_S), best=best)
    address, _, step = checkpoint.url.rpartition("/checkpoints/")
    if not address:
        raise UserError(f"{run}: give a run's address, or that of one of its checkpoints/step-*")
    place, folder = Files(address, patience_s=PATIENCE_S), _folder_for(address) / "read"
    _download(place, "config.yaml", folder)
    for inside in ("tokenizer", f"checkpoints/{step}"):
        for name in (place / inside).names(""):
            _download(place, f"{inside}/{name}", folder)
    return folder / "checkpoints" / step


def _download(place: Files, name: str, folder: Path) -> None:
    # ranks of a machine may all do so
    with whole_file(folder / name) as part, place.open(name) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, COPY_BYTES)


def working_folder(url: str) -> Path:
    """This user's folder on this machine in which this node of a run at this address works."""
    node = _folder_for(url) / f"node-{_node()}"
    node.mkdir(exist_ok=True)
    return node


def _folder_for(url: str) -> Path:
    name = f"hdvila-train-{os.getuid()}-{hashlib.blake2b(url.encode(), digest_size=8).hexdigest()}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: belongs to someone else; set TMPDIR to a folder of your own")
    return folder


def _node() -> int:
    """This node's number in the run, as torchrun says."""
    return int(os.environ.get("GROUP_RANK", "0"))


class Copies:
    """Keeps a folder of this machine and an address alike. The first rank of each node does it, the others nothing."""

    def __init__(self, bucket: Files, here: Path, check: Callable[[], None]) -> None:
        """`check` raises LockLost if nothing may be written any more."""
        self.here, self._check = here, check
        self._bucket = bucket
        self._node = _node()
        self._into = bucket / f"nodes/{self._node}" if self._node else bucket
        self._works = os.environ.get("LOCAL_RANK", "0") == "0"
        self._turn = threading.Lock()
        self._kept: dict[str, tuple[int, int]] = {}

    def fetch(self) -> None:
        """Makes the folder hold what a run at the address reads when it goes on, and nothing else but indexes."""
        if not self._works:
            return
        for name in self._changeable():
            (self.here / name).unlink()
        for folder in FETCHED:
            for name in (self._bucket / folder if folder else self._bucket).names(""):
                path = f"{folder}/{name}" if folder else name
                if name != LOCK and not (self._node and name.startswith(OF_A_NODE)):
                    target = self.here / path
                    target.parent.mkdir(exist_ok=True)
                    target.write_bytes(self._bucket.read(path))
        self._kept = self._changeable()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Copies regularly while the block runs, and at its end."""
        ended = threading.Event()
        copier = threading.Thread(target=self._copy_until, args=(ended,), name="copies", daemon=True)
        copier.start()
        try:
            yield
        finally:
            ended.set()
            copier.join()
            self.copy()

    def _copy_until(self, ended: threading.Event) -> None:
        while not ended.wait(COPY_EVERY_S):
            try:
                self.copy()
            except LockLost:
                return  # the next checkpoint will say so
            except storage_errors() as error:  # the copy before a checkpoint is not forgiven
                log.warning("%s: files of the run were not copied (%s); it is tried again", self._bucket, error)

    def copy(self) -> None:
        """Puts what has changed here at the address, and takes away there what was here and is gone."""
        if not self._works:
            return
        with self._turn:
            self._check()
            now = self._changeable()
            for name, version in now.items():
                if self._kept.get(name) != version:
                    self._put(name)
            for name in self._kept.keys() - now.keys():
                self._into.delete(name)
            self._kept = now

    def _put(self, name: str) -> None:
        try:
            self._into.put(self.here / name, name)
        except FileNotFoundError:
            return  # it was replaced by now: it is copied the next time

    def _changeable(self) -> dict[str, tuple[int, int]]:
        """The files here that are copied: {name: (when changed, size)}."""
        found: dict[str, tuple[int, int]] = {}
        for path in self.here.rglob("*"):
            parts = path.relative_to(self.here).parts
            unfinished = any(part.startswith(".") for part in parts)
            others = bool(self._node) and not parts[0].startswith(OF_A_NODE)
            if unfinished or others or parts[0] in ONLY_HERE or path.is_dir():
                continue
            with suppress(FileNotFoundError):  # it was replaced by now
                found["/".join(parts)] = (path.stat().st_mtime_ns, path.stat().st_size)
        return found
