"""How many small random errors in the code do the tests notice?

    python -m bench.mutate [--seed 1] [--n 60] [--rooms train/data,manifests] [--jobs 1] [--keep FOLDER] [--minutes 15]

Cosmic Ray makes the errors: a comparison, a sign, a number, a condition, a loop that never begins … They are drawn by a
seed, equally from each room, and made one at a time in a clone of what is committed, where `bench.nearest_tests` runs
until a test fails. Caught means that a test fails which passes without the change. Prints every change with its
verdict, then the survivors' lines: whether a user could notice one is for the reader to judge. Exit code 1 if less than
85 % are caught.

With --keep, the session stays in that folder: the same call goes on where it stopped, and Cosmic Ray's `cr-report` and
`cr-html` read it. With --minutes, no change is started after that time. What was measured: docs/lab/mutants.md.
"""

import argparse
import linecache
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult

REPO = Path(__file__).resolve().parent.parent
AIM = 0.85
LIMIT_S = 3600
"""Time limit for all tests of one change, s; `bench.nearest_tests` has a shorter one for each test."""
ROOM = re.compile(r"(?:(?:pipeline|train)/\w+/|(?:manifests|miniyoutube|train)/)")
"""A room of the product at the start of a file's path."""
KEPT = re.compile(
    r"core/(?:AddNot|Number\w+|Exception\w+|Zero\w+|Replace(?:True|False|And|Or|Break|Continue)With\w+"
    r"|ReplaceUnaryOperator_Delete_\w+|ReplaceBinaryOperator_(?:Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Div_Mul)"
    r"|ReplaceComparisonOperator_(?:Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is))"
)
"""Cosmic Ray's operators that may pass for what was meant; with others, as `a >> b` for `a + b`, any test crashes."""

IDLE = re.compile(r"\s*(?:@|assert |raise |log\.|logging\.|warnings\.|if TYPE_CHECKING)|.*strict=True")
"""Lines in which nothing is changed: messages are checked by reading, and no user meets what decorators forbid."""


def rooms() -> dict[str, list[str]]:
    """The committed modules by room."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=REPO, capture_output=True, text=True, check=True)
    found = defaultdict(list)
    for path in sorted(listed.stdout.splitlines()):
        if (room := ROOM.match(path)) and not path.endswith("__init__.py"):
            found[room[0].rstrip("/")].append(path)
    return dict(sorted(found.items()))


def drawn_files(seed: int, n: int, by_room: dict[str, list[str]]) -> list[str]:
    """A file for each of n changes: from the rooms in turn, larger files more often."""
    chance, names = random.Random(seed), list(by_room)
    turns = [by_room[names[i % len(names)]] for i in range(n)]
    return [chance.choices(files, [(REPO / file).stat().st_size for file in files])[0] for files in turns]


def draw(session: WorkDB, seed: int, files: Sequence[str]) -> None:
    """Fills a session with the changes of these files, of which one for each time that a file is named is to be made.

    Equal in each place, however many changes Cosmic Ray can make there. Files are relative to the working directory.
    """
    init(sorted({Path(file) for file in files}), session, {})
    places: dict[str, dict[tuple[int, int], list[WorkItem]]] = defaultdict(lambda: defaultdict(list))
    for item in sorted(session.pending_work_items, key=_order):
        (change,) = item.mutations
        line = linecache.getline(str(change.module_path), change.start_pos[0])
        if KEPT.fullmatch(change.operator_name) and not IDLE.match(line):
            places[str(change.module_path)][change.start_pos].append(item)
    chance, chosen = random.Random(seed), set()
    for file in files:
        if places[file]:
            items = places[file].pop(chance.choice(list(places[file])))
            chosen.add(chance.choice(items).job_id)
    others = [item.job_id for item in session.pending_work_items if item.job_id not in chosen]
    session.set_multiple_results(others, WorkResult(WorkerOutcome.SKIPPED))


def _order(item: WorkItem) -> tuple[str, tuple[int, int], str, int]:
    (change,) = item.mutations
    return str(change.module_path), change.start_pos, change.operator_name, change.occurrence


def clone(folder: str) -> None:
    """Clones what is committed and makes the clone this process's working directory, of which tests import the code."""
    own = Path(folder) / f"{os.getpid()}" / "main"
    subprocess.run(["git", "clone", "-q", "--shared", str(REPO), str(own)], check=True)
    os.chdir(own)
    shared = REPO.parent / "shared"
    os.environ |= {"PYTHONPATH": str(own), "PYTHONSAFEPATH": "1"}
    os.environ.setdefault("HDVILA_SAMPLES", str(shared / "samples"))
    os.environ.setdefault("HDVILA_GOLDEN", str(shared / "golden"))


def judge(item: WorkItem, end: float) -> WorkResult | None:
    """Makes the change and runs the nearest tests; None after `end`, a time.monotonic."""
    if time.monotonic() > end:
        return None
    return mutate_and_test(item.mutations, f"{sys.executable} -m bench.nearest_tests", LIMIT_S)


def tell(item: WorkItem, result: WorkResult) -> None:
    """Prints a verdict: the place, the operator, and what bench.nearest_tests said last."""
    (change,) = item.mutations
    how = "caught  " if result.is_killed else "SURVIVED"
    said = (result.output or "").strip().rpartition("\n")[2]
    print(f"{how} {change.module_path}:{change.start_pos[0]}  {change.operator_name}  {said}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0 if enough is caught."""
    parser = argparse.ArgumentParser(prog="bench.mutate", description=__doc__.split("\n\n")[0])
    by_room = rooms()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--rooms", default=",".join(by_room), help=f"of: {', '.join(by_room)}")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the session, in which the same call goes on")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no change after this time")
    asked = parser.parse_args(argv)
    end = time.monotonic() + asked.minutes * 60
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        kept = (asked.keep or Path(folder)).resolve()
        kept.mkdir(parents=True, exist_ok=True)
        with use_db(str(kept / f"{asked.seed}-{asked.n}.sqlite")) as session:
            os.chdir(REPO)
            if not session.num_work_items:
                wanted = {room: by_room[room] for room in asked.rooms.split(",")}
                draw(session, asked.seed, drawn_files(asked.seed, asked.n, wanted))
            with ProcessPoolExecutor(asked.jobs, initializer=clone, initargs=(folder,)) as pool:
                running = {pool.submit(judge, item, end): item for item in session.pending_work_items}
                for future in as_completed(running):
                    if result := future.result():
                        session.set_result(running[future].job_id, result)
                        tell(running[future], result)
            return report(session)


def report(session: WorkDB) -> int:
    """Prints the survivors and the share caught by room; 0 if enough is caught."""
    caught: dict[str, list[bool]] = defaultdict(list)
    for item, result in session.completed_work_items:
        if result.worker_outcome is WorkerOutcome.SKIPPED:
            continue
        path = str(item.mutations[0].module_path)
        room = ROOM.match(path)
        caught[room[0].rstrip("/") if room else path].append(result.is_killed)
        if not result.is_killed:
            print(f"\n{result.diff}")
    for name, own in sorted(caught.items()):
        print(f"{name:20} {sum(own):3} of {len(own):3} caught")
    verdicts = [verdict for own in caught.values() for verdict in own]
    share = sum(verdicts) / max(1, len(verdicts))
    print(f"all                  {share:.1%} of {len(verdicts)} caught (aim {AIM:.0%})")
    print(f"not begun            {len(session.pending_work_items)} (--minutes)")
    return 0 if share >= AIM else 1


if __name__ == "__main__":
    raise SystemExit(main())
