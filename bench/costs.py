"""Measures the costs that `hdvila-pipeline estimate` uses, and writes them to pipeline/run/costs.json.

    python -m bench.costs                      all of it, some minutes
    python -m bench.costs --only road          requests, CPU and objects of the crawl and the text stages
    python -m bench.costs --only video_hour    CPU of an hour of video, on the sample films

`road` is a run with the demo's settings in this process, one unit at a time, against the mini-YouTube in a process of
its own. yt-dlp, cuts and shards are real; only the network is not. CPU is user and system time, including children,
divided by the videos or clips that it was spent on. Numbers that nothing here measures (published by HD-VILA-100M, or
read from yt-dlp's source) are left as they are in the file.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlunsplit

from pydantic import Secret, SecretStr

import pipeline.engine.work.executor
from miniyoutube.demo import demo_config
from pipeline.engine.store.store import Store
from pipeline.run.costs import FILE, Cost, read_costs
from pipeline.run.road import run_pipeline
from pipeline.site import fresh_looks
from pipeline.site.ytdlp import kind_of

Counts = Counter[str]


def main() -> None:
    """Measures, prints each number beside the previous one, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("road", "video_hour"))
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    arguments = parser.parse_args()
    measured: dict[str, float | list[float]] = {}
    if arguments.only != "video_hour":
        measured |= measure_road()
    if arguments.only != "road":
        measured |= measure_video_hour(arguments.samples)
    costs = read_costs()
    for name, found in measured.items():
        each = tuple(sorted(map(rounded, found))) if isinstance(found, list) else ()
        value = rounded(sum(found) / len(found) if isinstance(found, list) else found)
        print(f"{name:32} {value:10.4g}   (was {costs[name].value:g}) {costs[name].unit} {each or ''}")
        costs[name] = replace(costs[name], value=value, each=each)
    write_costs(costs)


def rounded(value: float) -> float:
    """Rounds to three digits: a measurement is not more precise."""
    return float(f"{value:.3g}")


def write_costs(costs: dict[str, Cost]) -> None:
    """Writes the file again, one number per line."""
    lines = (f"  {json.dumps(name)}: {json.dumps(cost.document())}" for name, cost in costs.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@contextmanager
def site(log: Path) -> Iterator[str]:
    """Runs the demo's mini-YouTube as a process of its own; yields its proxy URL."""
    command = [sys.executable, "-P", "-u", "-m", "pipeline", "mini-youtube", "--log", str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(line.split()[1] for line in process.stdout if line.startswith("proxy: "))
    finally:
        process.terminate()
        process.wait(timeout=30)


def measure_road() -> dict[str, float]:
    """Measures one run of the demo: requests by kind, CPU by stage and objects, per video."""
    cpu, asked, results = defaultdict[str, float](float), dict[str, Counts](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder, site(log := Path(folder) / "requests.jsonl") as proxy:
        attempt_unit = vars(pipeline.engine.work.executor)["attempt_unit"]

        def measured(stage: Any, *arguments: Any, **named: Any) -> Any:
            cpu_before, asked_before = cpu_of_all(), requests(log)
            outcome = attempt_unit(stage, *arguments, **named)
            cpu[stage.name] += cpu_of_all() - cpu_before
            asked[stage.name] = asked.get(stage.name, Counter()) + (requests(log) - asked_before)
            results[stage.name] += 1
            return outcome

        vars(pipeline.engine.work.executor)["attempt_unit"] = measured
        try:
            out = Path(folder) / "out"
            config = demo_config(out, None, ["engine.executor=local"])
            with mock.patch.object(fresh_looks, "MAX_AGE_S", 0.0):  # each fetch as one that comes late
                run_pipeline(with_proxy(config, proxy))
        finally:
            vars(pipeline.engine.work.executor)["attempt_unit"] = attempt_unit
        return per_video(out, cpu, asked, results)


def with_proxy(config: Any, proxy: str) -> Any:
    """Points the demo's settings at a mini-YouTube in another process."""
    options = config.crawl.ydl_opts.get_secret_value() | {"nocheckcertificate": True, "cachedir": False}
    identities = tuple(one.model_copy(update={"proxy": SecretStr(proxy)}) for one in config.crawl.pool())
    crawl = config.crawl.model_copy(update={"identities": identities, "ydl_opts": Secret(options)})
    return config.model_copy(update={"crawl": crawl})


def cpu_of_all() -> float:
    """CPU seconds of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def requests(log: Path) -> Counts:
    """The number of requests answered so far, by the kind that politeness counts."""
    time.sleep(0.2)  # for the log's last lines
    seen: Counts = Counter()
    for line in log.read_text().splitlines() if log.exists() else []:
        one = json.loads(line)
        seen[kind_of(urlunsplit(("https", one["host"], one["path"], "", "")))[1]] += 1
    return seen


def per_video(out: Path, cpu: Mapping[str, float], asked: dict[str, Counts], results: Counter[str]) -> dict[str, float]:
    """Makes the numbers of the file, from what a run used and left."""
    store = Store(str(out))
    n_candidates = sum(row for row in store.read_table("candidates", ["asked"]).column("asked").to_pylist())
    n_listed = store.read_table("listings", ["video_id"]).num_rows
    n_videos = store.read_table("videos", ["video_id"]).num_rows
    packs = store.read_table("packs", ["video_id"])
    n_fetched, n_clips = len(packs.column("video_id").unique()), packs.num_rows
    apart = {"shards", "report"}
    files = [file for folder in out.iterdir() if folder.is_dir() and folder.name not in apart
             for file in folder.rglob("*") if file.is_file() and file.suffix != ".tar"]  # fmt: skip
    print(f"{n_listed} listed, {n_candidates} looked at, {n_videos} kept, {n_fetched} fetched, {n_clips} clips")
    fetch = asked["media"]
    return {
        **{f"{kind}_requests_a_candidate": asked["extract"][kind] / n_candidates for kind in ("page", "player")},
        "caption_requests_a_video": asked["extract"]["caption"] / n_videos,
        **{f"{kind}_requests_a_fetch": fetch[kind] / n_fetched for kind in ("page", "player")},
        "extract_cpu_s_a_candidate": cpu["extract"] / n_candidates,
        "text_cpu_s_a_video": (cpu["transcripts"] + cpu["clips"]) / n_videos,
        "shards_cpu_s_a_clip": cpu["shards"] / n_clips,
        "objects_a_unit": len(files) / results.total(),
    }


def measure_video_hour(samples: Path) -> dict[str, list[float]]:
    """Measures CPU per hour of source video, for each of the films of bench/video_hour.py."""
    command = [sys.executable, "-m", "bench.video_hour", "--samples", str(samples)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print(text)
    return {"media_cpu_s_a_source_hour": [float(found) for found in re.findall(r"\ball\s+([\d.]+) CPU s", text)]}


if __name__ == "__main__":
    main()
