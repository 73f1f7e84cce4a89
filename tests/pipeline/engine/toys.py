"""Small stages that do one thing each, for tests of the engine. A real module, so that Ray workers can import it."""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item, reading_input
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, StopRun, Transient, Unit


@dataclass(frozen=True)
class ToyStage:
    """Lists one video a unit. What a unit does is its payload; `marks` is a folder where attempts leave a trace.

    Its limit is one that a busy machine keeps; tests of the limit itself set a shorter one.
    """

    actions: tuple[tuple[str, str], ...]
    marks: Path
    name: str = "toy"
    resources: Resources = Resources(n_cpus=1, time_limit_s=60)

    def units(self, store: Store) -> Iterator[Unit]:
        for name, action in self.actions:
            yield Unit(name, action, (name,))

    def process(self, unit: Unit, context: Context) -> Output:
        n_before = len(list(self.marks.glob(f"{unit.name}.*")))
        (self.marks / f"{unit.name}.{n_before}").write_text(str(os.getpid()))
        act(unit, context, n_before)
        made = context.scratch / "made.txt"
        made.write_text(unit.name)
        return Output(rows={"listings": [listing(unit.name)]}, files={f"packs/{unit.name}.txt": made})


def act(unit: Unit, context: Context, n_before: int) -> None:
    """Misbehaves as the payload says; `…-once` only at the first attempt."""
    action = str(unit.payload)
    if action.endswith("-once") and n_before:
        return
    match action.removesuffix("-once"):
        case "reject":
            raise Rejected(Reason.PRIVATE, "made to be rejected")
        case "bug":
            raise RuntimeError("a bug of the stage")
        case "busy":
            raise Transient(Reason.RATE_LIMITED, "429")
        case "stop":
            raise StopRun(Reason.BAD_COOKIES, "cookies.txt is rejected; export it again")
        case "hang":
            time.sleep(600)
        case "stuck":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            ctypes.PyDLL(None).sleep(600)  # holds the interpreter's lock
        case "hog":
            held = bytearray(400 << 20)
            held[::4096] = b"x" * len(held[::4096])
            for _ in range(300):
                time.sleep(0.1)  # one long sleep is not interrupted by a thread's own signal
        case "nap":
            time.sleep(0.4)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            ctypes.string_at(0)  # a segmentation fault
        case "set the terminal":
            subprocess.run(["stty", "sane"], stderr=subprocess.DEVNULL)  # as ffmpeg does at its start
        case "sick disk":
            Path("/proc/self/mem").read_bytes()  # the kernel answers EIO
        case "scratch gone":
            shutil.rmtree(context.scratch)
            (context.scratch / "made.txt").write_text("nowhere to go")
        case "incomplete":
            import a_module_that_is_not_installed  # noqa: F401
        case "fill":
            (context.scratch / "big").write_bytes(bytes(16 << 20))
        case "full":
            raise OSError(28, "No space left on device")


def raylet_above(pid: int) -> int:
    """The process of Ray's node that a worker belongs to."""
    while Path(f"/proc/{pid}/comm").read_text().strip() != "raylet":
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def listing(video_id: str) -> dict[str, object]:
    """A row of the listings table."""
    return {
        "video_id": video_id,
        "source": "ids",
        "query": "",
        "wanted_category_id": -1,
        "position": 0,
        "title": "",
        "channel_id": "",
        "duration_s": 1.0,
        "starts_at": 0,
        "view_count": -1,
        "live_status": "",
        "availability": "",
        "given_spans": "",
        "round": 0,
    }


@dataclass(frozen=True)
class PartlyRejecting:
    """One unit of two videos: one is kept, one rejected."""

    name: str = "partly"
    resources: Resources = Resources(time_limit_s=30)

    def units(self, store: Store) -> Iterator[Unit]:
        yield Unit("both", None, ("a", "b"))

    def process(self, unit: Unit, context: Context) -> Output:
        return Output(rows={"listings": [listing("a")]}, rejects=[Reject(Reason.LIVE, "b")], facts={"exhausted": True})


@dataclass(frozen=True)
class Itemwise:
    """One unit of many items, each by the engine's boundary. What an item does is its payload, as in `act`."""

    actions: tuple[tuple[str, str], ...]
    name: str = "itemwise"
    resources: Resources = Resources(time_limit_s=30)

    def units(self, store: Store) -> Iterator[Unit]:
        yield Unit("all", None, tuple(name for name, _ in self.actions))

    def process(self, unit: Unit, context: Context) -> Output:
        output = Output(rows={"listings": []})
        for name, action in self.actions:
            made = per_item(context, name, partial(self._make, name, action, context))
            output.rejects.append(made) if isinstance(made, Reject) else output.rows["listings"].append(made)
        return output

    def _make(self, name: str, action: str, context: Context) -> dict[str, object]:
        if action.startswith("read "):
            with reading_input(name, context):
                Path(action.removeprefix("read ")).read_bytes()
        act(Unit(name, action), context, 0)
        return listing(name) | ({"title": "\ud800"} if action == "surrogate" else {})


@dataclass(frozen=True)
class SickOnOneNode:
    """Units that a disk fails on the machine with the mark `sick` among its resources, and only there."""

    n_units: int
    name: str = "sick"
    resources: Resources = Resources(time_limit_s=60)

    def units(self, store: Store) -> Iterator[Unit]:
        yield from (Unit(f"u{i}") for i in range(self.n_units))

    def process(self, unit: Unit, context: Context) -> Output:
        import ray

        here = ray.get_runtime_context().get_node_id()
        if on_a_machine_that("sick"):
            Path("/proc/self/mem").read_bytes()
        time.sleep(0.2)
        return Output(facts={"node": here})


@dataclass(frozen=True)
class Naps:
    """Units that take a while; each commit says on which machine, and by a process of what title.

    Where `until` is the path of a file, units first wait for it, each with a file of its own beside it as it begins.
    """

    n_units: int
    nap_s: float = 0.5
    until: str = ""
    expected_s: float = 0.0
    name: str = "naps"
    resources: Resources = Resources(time_limit_s=300, memory_bytes=64 * 1024**2)

    def units(self, store: Store) -> Iterator[Unit]:
        yield from (Unit(f"u{i:03d}", expected_s=self.expected_s) for i in range(self.n_units))

    def process(self, unit: Unit, context: Context) -> Output:
        import ray

        if self.until:
            Path(f"{self.until}.{unit.name}").touch()
        while self.until and not Path(self.until).exists():
            time.sleep(0.1)
        time.sleep(self.nap_s)
        title = Path("/proc/self/cmdline").read_text().rstrip("\0")
        return Output(facts={"node": ray.get_runtime_context().get_node_id(), "process": title})


class Counter:
    """Shared state: counts calls from all workers."""

    def __init__(self) -> None:
        self._n = 0

    async def add(self, n: int) -> int:
        """Adds and returns the new sum."""
        self._n += n
        return self._n

    async def fail(self) -> None:
        """Raises what a store raises that is away."""
        raise OSError(errno.EBUSY, "503 Slow Down")


@dataclass(frozen=True)
class Counting:
    """Each unit adds one to a shared counter."""

    counter: object
    name: str = "counting"
    resources: Resources = Resources(time_limit_s=60)

    def units(self, store: Store) -> Iterator[Unit]:
        yield from (Unit(f"u{i}") for i in range(6))

    def process(self, unit: Unit, context: Context) -> Output:
        return Output(facts={"count": self.counter.add(1)})  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Fetched:
    """Units that fetch so many bytes before they are made, and leave in `marks` when either began and ended.

    On a machine with the mark `leaves` among its resources the first unit that is made there takes the machine away,
    and leaves its name in the file `left`.
    """

    n_units: int
    marks: Path
    fetch_s: float = 0.5
    make_s: float = 0.1
    n_bytes: int = 1000
    name: str = "fetched"
    resources: Resources = Resources(time_limit_s=60, memory_bytes=512 * 1024**2)

    def units(self, store: Store) -> Iterator[Unit]:
        yield from (Unit(f"u{i}", is_fetched=True) for i in range(self.n_units))

    def prepare(self, unit: Unit, context: Context) -> None:
        n_held = len(list(context.scratch.parent.glob("*.held.*")))
        with self._marked(unit, "fetch", n_held):
            time.sleep(self.fetch_s)
            (context.scratch / "film").write_bytes(unit.name.encode().ljust(self.n_bytes))

    def process(self, unit: Unit, context: Context) -> Output:
        if not (context.scratch / "film").exists():
            self.prepare(unit, context)
        with self._marked(unit, "make"):
            if on_a_machine_that("leaves") and self._is_first_to_leave(unit):
                os.kill(raylet_above(os.getpid()), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.make_s)
        return Output(files={f"packs/{unit.name}.txt": context.scratch / "film"}, facts={"by": os.getpid()})

    def _is_first_to_leave(self, unit: Unit) -> bool:
        try:
            with (self.marks / "left").open("x") as left:
                left.write(unit.name)
        except FileExistsError:
            return False
        return True

    @contextmanager
    def _marked(self, unit: Unit, what: str, n_held: int = 0) -> Iterator[None]:
        began = time.time()
        yield
        mark = {"unit": unit.name, "what": what, "began": began, "ended": time.time(), "n_held": n_held}
        (self.marks / f"{what}.{unit.name}.{uuid.uuid4().hex[:6]}.json").write_text(json.dumps(mark))


def on_a_machine_that(mark: str) -> bool:
    """Whether this worker's machine has such a mark among its resources."""
    import ray

    if not ray.is_initialized():
        return False
    here = ray.get_runtime_context().get_node_id()
    return any(node["NodeID"] == here and mark in node["Resources"] for node in ray.nodes())
