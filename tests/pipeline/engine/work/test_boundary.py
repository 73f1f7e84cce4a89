"""What one item costs: itself, unless its disk or this program is to blame."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.lock import RunLock
from manifests.reasons import Reason
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import STORE_WAIT_S, per_item, plain, reading_input
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Context, PlaceFailed, Reject, Rejected, StopRun, Transient
from tests.pipeline.engine.toys import Itemwise


def itemwise(tmp_path: Path, *actions: tuple[str, str]) -> Store:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(Itemwise(actions), store, LocalExecutor(tmp_path / "scratch"), lock)
    return store


def test_an_item_costs_itself_alone_whatever_it_does(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", ""), ("b", "bug"), ("c", "reject"), ("d", "surrogate"), ("e", ""))

    assert store.read_table("listings").column("video_id").to_pylist() == ["a", "e"]
    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"b": "internal_error", "c": "private", "d": "internal_error"}


def test_an_input_that_its_disk_does_not_give_is_tried_later(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", "read /proc/self/mem"), ("b", ""), ("c", "read /nowhere"))

    rejects = {row["video_id"]: (row["reason"], row["class"]) for row in store.read_rejects().to_pylist()}
    assert rejects == dict.fromkeys("ac", ("unreadable_input", "later"))


def test_three_inputs_in_a_row_are_the_disks_fault(tmp_path: Path) -> None:
    sick, fine = "read /proc/self/mem", f"read {__file__}"
    itemwise(tmp_path / "mixed", ("a", sick), ("b", sick), ("c", fine), ("d", sick), ("e", sick))

    with pytest.raises(RunStopped, match="3 input files in a row"):
        itemwise(tmp_path / "all", ("a", sick), ("b", sick), ("c", sick), ("d", fine))

    assert Store(str(tmp_path / "all" / "out")).committed("itemwise") == set()


def a_context(tmp_path: Path, url: str = "") -> Context:
    scratch = tmp_path / "scratch" / "unit"
    scratch.mkdir(parents=True, exist_ok=True)
    return Context(Store(url or str(tmp_path / "out")), scratch, time.monotonic() + 60)


class OfALibrary(OSError):
    """As PyAV raises: with a number of the system's, of a module of its own."""


def failing(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


THROTTLED = OSError(errno.EBUSY, "503 Slow Down")


@pytest.mark.parametrize(
    ("url", "error", "raised", "said"),
    [
        ("", ImportError("no module named x"), PlaceFailed, "install the package again"),
        ("memory://out", THROTTLED, Transient, "memory://out: .*503 Slow Down"),
        ("", OSError(errno.ENOSPC, "No space left"), StopRun, "free some space under"),
        ("memory://out", OSError(errno.EDQUOT, "Quota"), StopRun, "free some space under"),
        ("", OSError(errno.EIO, "Input/output error"), PlaceFailed, "look at this machine's disk"),
        ("", MemoryError(), MemoryError, ""),
        ("", UserError("wrong"), UserError, "wrong"),
    ],
)
def test_what_is_not_the_items_fault_passes(
    tmp_path: Path, url: str, error: Exception, raised: type[Exception], said: str
) -> None:
    with pytest.raises(raised, match=said or None) as passed:
        per_item(a_context(tmp_path, url), "a", failing(error))
    if isinstance(passed.value, Transient):
        assert (passed.value.reason, passed.value.wait_s) == (Reason.SERVER_ERROR, STORE_WAIT_S)


@pytest.mark.parametrize(
    "error",
    [
        THROTTLED,
        OfALibrary(errno.EIO, "of the film"),
        OfALibrary(errno.ENOSPC, "of the film"),
        OSError(errno.EPERM, "no"),
    ],
)
def test_what_only_looks_like_a_disk_or_a_store_is_the_items(tmp_path: Path, error: Exception) -> None:
    context = a_context(tmp_path)
    made = per_item(context, "a", failing(error))

    assert isinstance(made, Reject) and (made.reason, made.video_id) == (Reason.INTERNAL_ERROR, "a")
    assert str(error) in made.detail and "Traceback" in made.detail
    assert list(context.scratch.iterdir()) == [], "the probe of the folder is gone"


def test_an_error_of_a_store_s_library_is_the_store_s_wherever_the_tables_lie(tmp_path: Path) -> None:
    error = type("ClientError", (Exception,), {"__module__": "botocore.exceptions"})("AccessDenied")

    for url in ("", "memory://out"):
        with pytest.raises(Transient):
            per_item(a_context(tmp_path, url), "a", failing(error))


@pytest.mark.parametrize(("number", "raised"), [(errno.ENOSPC, StopRun), (errno.EACCES, PlaceFailed)])
def test_an_unforeseen_error_in_a_folder_that_is_full_or_locked_is_the_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: type[Exception]
) -> None:
    def write(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    context = a_context(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(raised):
        per_item(context, "a", failing(ValueError("odd")))


def read(context: Context, error: OSError | None) -> Exception | None:
    """What comes of reading one input that ends so."""
    try:
        with reading_input("film", context):
            if error:
                raise error
    except (Rejected, PlaceFailed, OfALibrary) as ended:
        return ended
    return None


def test_unreadable_inputs_count_in_a_row_of_ten_minutes_and_missing_ones_do_not(tmp_path: Path) -> None:
    context, sick, gone = a_context(tmp_path), OSError(errno.EIO, "I/O error"), FileNotFoundError(2, "No such file")
    log = context.scratch.parent / ".unreadable-inputs"

    ended = [read(context, error) for error in (gone, gone, gone, gone, sick, sick)]
    assert all(isinstance(end, Rejected) and end.reason is Reason.UNREADABLE_INPUT for end in ended)
    assert str(ended[0]) == "unreadable_input: film: No such file" and log.stat().st_size == 2
    os.utime(log, (time.time() - 601, time.time() - 601))
    assert isinstance(read(context, sick), Rejected) and log.stat().st_size == 1, "the row is over"
    os.utime(log, (time.time() - 590, time.time() - 590))
    assert isinstance(read(context, sick), Rejected)
    third = read(context, sick)
    assert isinstance(third, PlaceFailed) and "3 input files in a row" in str(third)
    assert read(context, None) is None and not log.exists(), "one that can be read ends the row"
    assert isinstance(read(context, OfALibrary(errno.EIO, "of the film")), OfALibrary) and not log.exists()


def test_text_that_no_table_can_hold_is_made_plain() -> None:
    assert [plain("film"), plain("Füße"), plain("a\ud83d b")] == ["film", "Füße", "a\ufffd b"]
