"""run.lock: one run at a time over an output directory.

The lock is created exclusively and renewed regularly. If its holder is a dead process on this host, it is taken over at
once; another host's lock is taken over once it has not changed for a minute by our own clock (clocks of two hosts are
never compared), and respected as soon as one renewal is seen. Containers can share a host's name and see only their own
processes, so a process of another container is taken for a process of another host. Renewing and taking over replace
only what was read before, so that neither overwrites another's lock. A holder that finds another's name in the lock
stops before its next commit.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypedDict, cast

from manifests.errors import UserError, storage_errors
from manifests.exits import ExitCode
from manifests.files import Files

log = logging.getLogger("hdvila")

LOCK = "run.lock"
RENEW_S = 10.0
STALE_S = 60.0
POLL_S = 2.0


class Holder(TypedDict, total=False):
    """What run.lock says about its holder. The file may be damaged or of another version: any key can be missing."""

    holder: str
    host: str
    pid: int
    process_start: str
    processes: str  # which processes the holder sees, `pid` among them
    beat: int  # time.time_ns() of the last renewal, by the holder's clock


class LockLost(UserError):
    """Another run took this output directory over."""

    exit_code = ExitCode.STOPPED


class LockHeld(UserError):
    """Another run works on this output directory."""

    exit_code = ExitCode.STOPPED


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that is held, as other processes of the run see it."""

    store: Files
    holder: str

    def check(self) -> None:
        """Raises LockLost if the lock names another holder."""
        current = _read(self.store)
        if current.get("holder") != self.holder:
            raise LockLost(
                f"{self.store.url}: taken over by {_name(current)}; stopping; nothing was committed after the takeover"
            )


class RunLock:
    """Holds run.lock while open: `with RunLock(store) as lock: … lock.check()` before each commit."""

    def __init__(self, store: Files, *, stale_s: float = STALE_S, renew_s: float = RENEW_S) -> None:
        self._store = store
        self._stale_s = stale_s
        self._renew_s = renew_s
        self._holder = uuid.uuid4().hex
        self.held = Held(store, self._holder)
        self._released = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_released, name="run-lock", daemon=True)

    def __enter__(self) -> "RunLock":
        self._store.refuse_links()
        self._acquire()
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._renewer.join(timeout=self._renew_s + 5)
        if _read(self._store).get("holder") == self._holder:
            self._store.delete(LOCK)

    def check(self) -> None:
        """Raises LockLost if the lock names another holder."""
        self.held.check()

    def _acquire(self) -> None:
        first: bytes = b""
        since = time.monotonic()
        while not self._store.create(LOCK, self._content()):
            raw = _raw(self._store)
            if raw is None:
                continue
            if not first:
                first, since = raw, time.monotonic()
                self._refuse_live_process(_parse(raw))
            elif raw != first:
                raise LockHeld(f"{self._store.url}: in use by {_name(_parse(raw))}, which has just renewed its lock")
            if self._is_dead(_parse(raw), time.monotonic() - since):
                self._take_over(raw)
                return
            time.sleep(min(POLL_S, self._stale_s / 4))

    def _refuse_live_process(self, holder: Holder) -> None:
        """Raises LockHeld if the holder is alive on this machine; logs a holder on another machine, which is waited
        for.
        """
        if not _is_here(holder):
            log.warning(
                "%s: locked by %s; last renewed %s by the clocks of both machines. "
                "Waiting up to %.0f s for a sign of life, then taking over",
                self._store.url, _name(holder), _age(holder), self._stale_s,
            )  # fmt: skip
        elif is_alive(int(holder.get("pid", 0)), str(holder.get("process_start", ""))):
            raise LockHeld(
                f"{self._store.url}: in use by {_name(holder)}, a run on this machine that last renewed its lock "
                f"{_age(holder)}; wait for it, or stop it and start again"
            )

    def _is_dead(self, holder: Holder, unchanged_s: float) -> bool:
        return _is_here(holder) or unchanged_s >= self._stale_s

    def _take_over(self, seen: bytes) -> None:
        if not self._store.replace(LOCK, self._content(), seen=seen):
            raise LockHeld(f"{self._store.url}: another run took over first; start again when it has ended")
        self.check()

    def _renew_until_released(self) -> None:
        while not self._released.wait(self._renew_s):
            try:
                seen = _raw(self._store) or b""
                if _parse(seen).get("holder") != self._holder:
                    return
                self._store.replace(LOCK, self._content(), seen=seen)
            except storage_errors() as error:  # as long as this run lives, it may succeed the next time
                log.warning("%s: run.lock was not renewed (%s); it is tried again", self._store.url, error)

    def _content(self) -> bytes:
        facts: Holder = {
            "holder": self._holder,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_start": _state_and_start(os.getpid())[1],
            "processes": _processes(),
            "beat": time.time_ns(),
        }
        return json.dumps(facts).encode()


def _raw(store: Files) -> bytes | None:
    try:
        return store.read(LOCK)
    except FileNotFoundError:
        return None


def _read(store: Files) -> Holder:
    return _parse(_raw(store) or b"")


def _parse(raw: bytes) -> Holder:
    try:
        holder = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return cast(Holder, holder) if isinstance(holder, dict) else {}


def _name(holder: Holder) -> str:
    return f"{holder.get('host', 'another run')} pid {holder.get('pid', '?')}"


def _age(holder: Holder) -> str:
    beat = holder.get("beat")
    if not isinstance(beat, int):
        return "at an unknown time"
    return f"{max(0.0, (time.time_ns() - beat) / 1e9):.0f} s ago"


def _is_here(holder: Holder) -> bool:
    """Whether a holder's pid is that of a process which this process could see."""
    return holder.get("host") == socket.gethostname() and holder.get("processes", "") in ("", _processes())


def _processes() -> str:
    """Names the processes that this process can see: the machine's start and its namespace of pids; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def is_alive(pid: int, process_start: str = "") -> bool:
    """Whether a process works: not one that was killed and whose parent (Ray's raylet, on a busy machine) has not
    collected it yet, nor another under its old number, if `process_start` is known.
    """
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state, start = _state_and_start(pid)
    return state != "Z" and process_start in ("", start)


def _state_and_start(pid: int) -> tuple[str, str]:
    """A process's state, Z for a zombie, and its start time in clock ticks, to tell a reused pid from the old process;
    "" if unknown.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # gone meanwhile, or a system without /proc
        return "", ""
    return fields[0], fields[19]
