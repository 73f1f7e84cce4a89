"""`python -m tests.witness`: runs the fixed cases and compares every fact of their outputs with the committed hashes.

witnesses.json has the hashes and what they were made with; differences.txt lists what may differ, a line each. `--make`
writes the hashes of this commit, `--keep FOLDER` leaves outputs and facts there for a look.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import shutil
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any

from hdvila_testing.s3 import s3_server
from tests.witness.cases import CASES, Work
from tests.witness.facts import facts_of

HASHES, LIST = (Path(__file__).with_name(name) for name in ("witnesses.json", "differences.txt"))
TOOLS = ("av", "hdvila", "numpy", "opencv-python-headless", "pyarrow", "scenedetect-headless", "torch", "yt-dlp")
FIRST_STEPS = 3
"""Steps whose losses agree to a millionth on any processor: under ATEN_CPU_CAPABILITY=default and avx2 to 1.1e-7, the
fourth to 1.6e-6, the twentieth to 0.2 %."""

Made = dict[str, dict[str, Any]]
"""{case/file: {part: hash, or a loss}}."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.witness", description=__doc__)
    parser.add_argument("--make", action="store_true", help="write the hashes instead of comparing them")
    parser.add_argument("--keep", type=Path, help="a new folder for outputs and facts")
    asked = parser.parse_args()
    folder = (asked.keep or Path(tempfile.mkdtemp(prefix="hdvila-witness-"))).absolute()
    folder.mkdir(parents=True, exist_ok=bool(not asked.keep))
    try:
        made = run_cases(folder)
    finally:
        if not asked.keep:
            shutil.rmtree(folder)
    if not asked.make:
        known = json.loads(HASHES.read_text())
        return compare(known["facts"], made, tools_changed(known["made_with"]))
    lines = ",\n".join(f"  {json.dumps(file)}: {json.dumps(parts)}" for file, parts in made.items())
    HASHES.write_text(f'{{\n "made_with": {json.dumps(tools())},\n "facts": {{\n{lines}\n }}\n}}\n')
    return 0


def run_cases(folder: Path) -> Made:
    """Runs all cases and hashes the facts of what they leave, those apart that are never equal."""
    made: Made = {}
    with s3_server() as s3:
        work = Work(folder, s3)
        for case in CASES:
            name, started = case.__name__, time.monotonic()
            case(work)
            out = work.output_of(name)
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
            if name == "fit":
                steps = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
                made["fit/losses"] = {str(step["step"]): step["loss"] for step in steps if step["kind"] == "step"}
                continue
            facts = facts_of(out, work=folder, settings=name == "demo")
            (folder / f"{name}.facts.json").write_text(json.dumps(facts, indent=1))
            for file, parts in facts.items():
                made[f"{name}/{file}"] = {
                    part: hashlib.sha256(text.encode()).hexdigest()[:8] for part, text in parts.items()
                }
    never = listed("never")
    return {file: {p: v for p, v in parts.items() if not match(f"{file}:{p}", never)} for file, parts in made.items()}


def tools() -> dict[str, str]:
    """What bytes depend on beside the code: versions, and the processor, by which sums of floats differ."""
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.*)", cpu, re.MULTILINE)
    widest = next((name for name in ("avx512f", "avx2") if name in cpu), "")
    processor = f"{model[1] if model else platform.processor()} {platform.machine()} {widest}".strip()
    return {tool: metadata.version(tool) for tool in TOOLS} | {"processor": processor}


def tools_changed(made_with: dict[str, str]) -> str:
    here = tools()
    changed = [name for name, value in made_with.items() if here.get(name) != value]
    return "; ".join(f"made with {name} {made_with[name]}, here {here.get(name, 'none')}" for name in changed)


def listed(kind: str) -> dict[str, str]:
    """{pattern of case/file:part: why} of one kind of line in the list."""
    lines = [line.split("  ", 2) for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {pattern: why for of_kind, pattern, why in lines if of_kind == kind}


def match(fact: str, patterns: dict[str, str]) -> str:
    """The first pattern that a fact matches, or ""."""
    return next((pattern for pattern in patterns if fnmatchcase(fact, pattern)), "")


def compare(before: Made, now: Made, changed: str) -> int:
    """Prints how many facts are equal and which are not; 1 if one differs that no list names."""
    meant, gone, by_tools = listed("meant"), listed("gone"), listed("tools") if changed else {}
    used, n_wrong = set(), 0
    for case in dict.fromkeys(file.partition("/")[0] for file in [*before, *now]):
        if case == "fit" and changed and other_films(before, now):
            print("fit: not comparable, the demo's clips are others here")
            continue
        old, new = flat(before, case, listed("renamed")), flat(now, case, {})
        differ = [fact for fact in {**old, **new} if not same(fact, old.get(fact), new.get(fact), bool(changed))]
        found = {fact: match(fact, meant) or (fact not in new and match(fact, gone)) for fact in differ}
        used |= set(found.values())
        apart = [fact for fact in differ if not found[fact] and match(fact, by_tools)]
        wrong = [fact for fact in differ if not found[fact] and fact not in apart]
        n_meant = len(differ) - len(apart) - len(wrong)
        print(f"{case}: {len({**old, **new}) - len(differ)} facts equal, {n_meant} differ as meant")
        if apart:
            print(f"  {len(apart)} not comparable: {changed}")
        for file, facts in groupby(wrong, key=lambda fact: fact.partition(":")[0]):
            print(f"  DIFFERS  {file}: {', '.join(fact.partition(':')[2] for fact in facts)}")
        n_wrong += len(wrong)
    idle = (meant.keys() | gone.keys()) - used
    for pattern in sorted(idle):
        print(f"{LIST.name}: nothing differs by {pattern}; strike it off")
    return 1 if n_wrong or idle else 0


def other_films(before: Made, now: Made) -> bool:
    """Whether the demo's tars, from which the fit learns, are others than those of the hashes."""
    return any(now.get(file) != parts for file, parts in before.items() if fnmatchcase(file, "demo/shards/*.tar"))


def flat(made: Made, case: str, names: dict[str, str]) -> dict[str, Any]:
    """{case/file:part: value} of a case, by new names."""
    facts = {
        f"{file}:{part}": v for file, parts in made.items() if file.startswith(f"{case}/") for part, v in parts.items()
    }
    for old, new in names.items():
        facts = {fact.replace(old, new): value for fact, value in facts.items()}
    return facts


def same(fact: str, old: Any, new: Any, is_elsewhere: bool) -> bool:
    """Whether a fact is as before; losses to a millionth, with other tools those of the first steps."""
    if isinstance(old, float) and isinstance(new, float):
        return abs(new - old) <= 1e-6 * abs(old) or (is_elsewhere and int(fact.rpartition(":")[2]) > FIRST_STEPS)
    return bool(old == new)


if __name__ == "__main__":
    sys.exit(main())
