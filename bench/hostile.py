"""Feeds thousands of hostile inputs to every entry point, each in a process of its own, and checks what happens.

    python -m bench.hostile [--seed 1] [--share 1.0] [--only captions,media,...] [--samples ../shared/samples]

Counts, each of which has to be zero: escapes (a file written outside the input's folder, a program started), requests,
files read outside, tracebacks, neighbours lost, inputs over 5 CPU seconds or 500 MB. Exit code 1 if one is not.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home, NeighbourLost, answers, captions, commands, data_sets, folders, media
from bench.hostile_inputs.sets import SETS
from hdvila_testing.shards import a_data_set
from hdvila_testing.video import a_video
from manifests.errors import UserError

MAX_CPU_S = 5.0
MAX_BYTES = 500 * 1000**2
CPU_LIMIT_S, WALL_LIMIT_S = 60, 3000
"""Limits after which an input is ended: it loops for ever, or waits for something that never comes. On a busy machine
a second of work may take a minute."""
GROUPS = {
    "captions": (captions.cases, 900),
    "media": (media.cases, 700),
    "folders": (folders.cases, 500),
    "data sets": (data_sets.cases, 500),
    "answers": (answers.cases, 400),
    "commands": (commands.cases, len(SETS) * len(commands.COMMANDS)),
}
"""By group: the function that makes its inputs, and their number."""


@dataclass(slots=True)
class Result:
    """The cost of one input, and anything forbidden that it did."""

    reason: str = ""
    cpu_s: float = 0.0
    peak_bytes: int = 0
    traceback: str = ""
    neighbour: str = ""
    escapes: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, str]:
        """{name of a count that must be zero: what was found} for this input."""
        found = {
            "escapes": "; ".join(self.escapes),
            "requests": "; ".join(self.requests),
            "files read outside": "; ".join(self.reads),
            "tracebacks": self.traceback,
            "neighbours lost": self.neighbour,
            "over 5 CPU s": f"{self.cpu_s:.1f} s" if self.cpu_s > MAX_CPU_S else "",
            "over 500 MB": f"{self.peak_bytes / 1e6:.0f} MB" if self.peak_bytes > MAX_BYTES else "",
        }
        return {name: what for name, what in found.items() if what}


FAULTS = tuple(Result("", 9, 1 << 40, "x", "x", ["x"], ["x"], ["x"]).faults())


def try_case(case: Case, home: Home) -> Result:
    """Runs one input in a child process, with its folder, its limits and its watchers."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, _Trap(home) as trap:
        folder = Path(name)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            _run_child(case, folder, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as answer:
            said = answer.read()
        _, status, used = os.wait4(child, 0)
        for path in folder.rglob("*"):  # a folder that its owner may not enter could not be removed
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
    result = Result(**json.loads(said)) if said else Result(traceback=f"the process ended with status {status}")
    result.cpu_s = used.ru_utime + used.ru_stime
    result.requests += trap.requests
    result.reads += trap.reads()
    return result


def _run_child(case: Case, folder: Path, writer: int) -> None:
    result = Result()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WALL_LIMIT_S)
    Path("/proc/self/clear_refs").write_text("5")  # resets the recorded peak
    before = _peak_bytes()
    work = folder / "work"
    work.mkdir()
    os.environ["TMPDIR"] = str(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    tempfile.tempdir = str(folder)
    sys.dont_write_bytecode = True  # what Python itself writes is no escape
    sys.addaudithook(_watch(folder, result))
    try:
        result.reason = case.run(work)
        if result.reason.startswith("internal_error"):
            result.traceback = result.reason
    except UserError as error:
        result.reason = f"UserError: {error}"
    except NeighbourLost as error:
        result.neighbour = str(error)
    except BaseException:  # noqa: BLE001 - whatever escapes is what this is looking for
        result.traceback = traceback.format_exc()[-3000:]
    result.peak_bytes = _peak_bytes() - before
    with os.fdopen(writer, "wb") as answer:
        answer.write(json.dumps(asdict(result)).encode())
    os._exit(0)


def _watch(folder: Path, result: Result) -> Any:
    """An audit hook: records what Python itself writes elsewhere, connects to or starts."""
    own = (f"{os.path.realpath(folder)}/", "/dev/null", "/proc/self/", "/dev/shm/")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes) and len(args) > 2 and isinstance(args[2], int):
            path = os.path.realpath(os.fsdecode(args[0]))
            if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not f"{path}/".startswith(own):
                result.escapes.append(f"writes {path}")
        elif event in ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "shutil.rmtree"):
            first = int(event in ("os.link", "os.symlink"))  # a link's target is not made by it
            paths = [_real_path(a, args[2:] or args[1:]) for a in args[first:2] if isinstance(a, str | bytes)]
            result.escapes += [f"{event} {path}" for path in paths if not f"{path}/".startswith(own)]
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            result.escapes.append(f"{event} {args[0]!r}")
        elif event == "socket.connect" and isinstance(args[1], tuple):
            result.requests.append(f"connects to {args[1]}")

    return hook


def _real_path(path: str | bytes, rest: tuple[Any, ...]) -> str:
    """The real path of a name; a relative one is resolved in the folder whose descriptor is in `rest`."""
    folder = next((f"/proc/self/fd/{n}" for n in rest if isinstance(n, int) and n > 2), os.curdir)
    with contextlib.suppress(OSError):
        folder = os.readlink(folder) if folder != os.curdir else folder  # noqa: PTH115 - audit hooks stay small
    return os.path.realpath(os.path.join(folder, os.fsdecode(path)))  # noqa: PTH118 - bytes and text alike


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Trap:
    """Records whether anything (FFmpeg's C code included) opened a file of the trap or requested its URL meanwhile."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.requests: list[str] = []

    def __enter__(self) -> "_Trap":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        self._notify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        libc.inotify_add_watch(self._notify, os.fsencode(self._home.trap), 0x21)  # IN_ACCESS | IN_OPEN
        _LISTENER.asked.clear()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0)
        self.requests += _LISTENER.asked
        try:
            self._seen = os.read(self._notify, 1 << 16)
        except BlockingIOError:
            self._seen = b""
        os.close(self._notify)

    def reads(self) -> list[str]:
        """The names of the trap's files that were opened."""
        found, at = set(), 0
        while at < len(self._seen):
            size = int.from_bytes(self._seen[at + 12 : at + 16], sys.byteorder)
            found.add(self._seen[at + 16 : at + 16 + size].rstrip(b"\0").decode())
            at += 16 + size
        return sorted(name for name in found if name)


class _Listener(threading.Thread):
    """Accepts connections on loopback and records them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/asked"

    def run(self) -> None:
        while True:
            connection, address = self.socket.accept()
            self.asked.append(f"somebody asked {self.url} from {address}")
            connection.close()


_LISTENER = _Listener()


@contextlib.contextmanager
def a_home(samples: Path) -> Iterator[Home]:
    """Makes the real things that inputs start from, and the traps that they name."""
    if not _LISTENER.is_alive():
        _LISTENER.start()
    with tempfile.TemporaryDirectory(prefix="hostile-home-") as name:
        folder = Path(name)
        (folder / "films").mkdir()
        for suffix in ("mp4", "mkv", "webm"):
            codecs: dict[str, Any] = {"codec": "libvpx-vp9", "audio": "libopus"} if suffix == "webm" else {}
            a_video(folder / "films" / f"film.{suffix}", seconds=2, **codecs)
        media.make_odd(folder / "films")
        a_data_set(folder / "data_set")
        (folder / "warm").mkdir()
        captions.warm_up(folder / "warm")
        trap = folder / "trap"
        trap.mkdir()
        (trap / "secret.txt").write_text("nobody may read this")
        shutil.copy(folder / "films" / "film.mp4", trap / "secret.mp4")
        yield Home(samples, folder / "films", folder / "data_set", trap, _LISTENER.url)


def cases(seed: int, share: float, groups: Iterable[str], home: Home) -> Iterator[Case]:
    """Yields the inputs of these groups, `share` of each."""
    for group in groups:
        make, n = GROUPS[group]
        yield from make(seed, max(1, round(n * share)), home)


def kind_of(result: Result) -> str:
    """The word that a result is counted under."""
    head = result.reason.partition(":")[0]
    return head if head else "a fault"


def main() -> None:
    """Tries every input and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--name", default="", help="only inputs whose name holds this")
    parser.add_argument("--samples", type=Path, default=Path("../shared/samples"))
    given = parser.parse_args()
    tried: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    faults: dict[str, list[str]] = {name: [] for name in FAULTS}
    worst_cpu, worst_peak = (0.0, ""), (0, "")
    started = time.monotonic()
    with a_home(given.samples) as home:
        for case in cases(given.seed, given.share, given.only.split(","), home):
            if given.name not in case.name:
                continue
            result = try_case(case, home)
            tried[case.group] += 1
            reasons[case.group, kind_of(result)] += 1
            worst_cpu = max(worst_cpu, (result.cpu_s, case.name))
            worst_peak = max(worst_peak, (result.peak_bytes, case.name))
            for name, what in result.faults().items():
                faults[name].append(case.name)
                print(f"{case.group}: {case.name}: {name}: {what}", flush=True)
    print(f"\n{sum(tried.values())} inputs tried from seed {given.seed} in {time.monotonic() - started:.0f} s")
    for group, n in tried.items():
        shown = ", ".join(f"{count} {kind}" for (of, kind), count in reasons.most_common() if of == group)
        print(f"  {group}: {n} ({shown})")
    for name, cases_ in faults.items():
        print(f"  {name}: {len(cases_)}")
    print(f"  most CPU: {worst_cpu[0]:.2f} s ({worst_cpu[1]})")
    print(f"  most memory: {worst_peak[0] / 1e6:.0f} MB ({worst_peak[1]})")
    raise SystemExit(1 if any(faults.values()) else 0)


if __name__ == "__main__":
    main()
