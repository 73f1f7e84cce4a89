"""Measures the cost of the audit page: seconds, memory and bytes for a data set of a million clips.

    python -m bench.report                                 1,000,000 clips
    python -m bench.report --clips 100000 --keep OUT       smaller, and the data set is kept

The tables are as long as those of a finished run, with a thousand videos per part, as in merged segments; every title,
caption, query and channel tries to break out of the page. The shards have rows of their own and share one tar of real
samples with large stills, since the report opens only a few. Making the data set isn't counted; the report is written
in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa

from hdvila_testing.plans import outcomes_of
from hdvila_testing.rows import commit_rows
from hdvila_testing.shards import DURATION_MS, tiny_film, tiny_members
from manifests.categories import category_name, load_categories
from manifests.funnel import SELECTION_NAME
from manifests.reasons import Reason
from manifests.sample import SampleJson
from manifests.schema import REJECTS, SHARD_ROWS, TABLES
from manifests.shards import MANIFEST_NAME, TABLE_NAME, ShardEntry, manifest_bytes
from pipeline.balance.ranking import candidates_of, rank_candidates
from pipeline.balance.selection import select
from pipeline.config.balance import BalanceConfig
from pipeline.engine.store.store import Store
from pipeline.media.packs import Sample, write_pack
from pipeline.query.rejects import rejects_in_force
from pipeline.report.page import write_report
from pipeline.shards.files import entry_of, shard_files

CLIPS_A_VIDEO, VIDEOS_A_PART, CLIPS_A_SHARD = 20, 1000, 2000
CHANNELS = 4000
N_SAMPLES = 64
"""Samples in the tar that all shards share."""
N_QUERIES = 3000
REJECTED_SHARE = 0.5
"""Videos that were looked at and rejected, per kept one."""
FAILED_CLIPS = 0.05
LICENCES = ("", "Creative Commons Attribution license (reuse allowed)", "<b>all rights</b>")
LANGUAGES = ("en", "en-GB", "de", "<i>xx</i>")
HOSTILE = "</td><script>alert('t')</script><img src=x onerror=alert(1)> \" ' & {{ 7*7 }} \u202e"

HEAD = {"name": HOSTILE, "generation": 0, "created_at": "2026-01-01T00:00:00+00:00", "config": {}, "versions": {}}


def main() -> None:
    """Makes the data set, writes its report in a process of its own, and prints the cost."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clips", type=int, default=1_000_000)
    options.add_argument("--keep", type=Path, default=None, help="folder that keeps the data set")
    options.add_argument("--one", default="", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(run_one(Store(asked.one))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        store = Store(str(asked.keep or name))
        if not store.exists(MANIFEST_NAME):
            make(store, asked.clips)
        command = [sys.executable, "-m", "bench.report", "--one", store.url]
        cost = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(
        f"{cost['clips']:,} clips in {cost['shards']:,} shards: page {cost['page_bytes'] / 1e6:.2f} MB, "
        f"{cost['wall_s']:.1f} s ({cost['cpu_s']:.1f} s of processor), {cost['peak_mb']:,.0f} MB of memory"
    )


def run_one(store: Store) -> dict[str, Any]:
    """Writes the report and prints its cost."""
    started, cpu = time.monotonic(), time.process_time()
    page = write_report(store)
    took = {"wall_s": time.monotonic() - started, "cpu_s": time.process_time() - cpu}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counted = store.read_json("report/report.json")["metrics"]
    sizes = {"page_bytes": store.size(page), "clips": counted["clips"], "shards": counted["shards"]}
    return {**took, "peak_mb": peak_mb, **sizes}


def make(store: Store, n_clips: int, seed: int = 0) -> None:
    """Fills an empty store as a finished run leaves it."""
    rng = np.random.default_rng(seed)
    places = _shared_tar(store)
    packs, shards = [], []
    for number in range(-(-n_clips // (CLIPS_A_VIDEO * VIDEOS_A_PART))):
        n_videos = min(VIDEOS_A_PART, -(-(n_clips - number * CLIPS_A_VIDEO * VIDEOS_A_PART) // CLIPS_A_VIDEO))
        packs.append(_part(store, rng, number, n_videos))
        shards += [packs[-1].slice(at, CLIPS_A_SHARD) for at in range(0, packs[-1].num_rows, CLIPS_A_SHARD)]
    _sources(store, rng)
    entries = [_shard(store, rows, number, places) for number, rows in enumerate(shards)]
    ranked = rank_candidates(candidates_of(store.read_table("videos"), store.read_table("clips")), seed)
    selection = select(ranked, outcomes_of(packs, rejects_in_force(store)), BalanceConfig(unit="clips"))
    store.write_table(SELECTION_NAME, selection.table)
    store.write_json("balance.json", selection.result.document())
    head, table = manifest_bytes(entries, HEAD)
    store.write(TABLE_NAME, table)
    store.write(MANIFEST_NAME, head)


def _part(store: Store, rng: np.random.Generator, number: int, n_videos: int) -> pa.Table:
    """Writes a part of videos, clips, packs and rejects, each with its commit; returns the rows of packs."""
    ids = [f"v{number:04d}{i:06d}" for i in range(n_videos)]
    category_ids = np.array([category.id for category in load_categories()])
    categories = category_ids[np.minimum(rng.geometric(0.2, n_videos) - 1, len(category_ids) - 1)]
    channels = [f"UC{c}{HOSTILE}" for c in np.minimum(rng.zipf(1.3, n_videos), CHANNELS).tolist()]
    videos = {
        "video_id": ids,
        "url": [f"https://www.youtube.com/watch?v={i}" for i in ids],
        "title": [HOSTILE] * n_videos,
        "category_id": categories,
        "category": [category_name(c) for c in categories.tolist()],
        "channel_id": channels,
        "license": rng.choice(LICENCES, n_videos).tolist(),
        "upload_date": [f"{year}0102" for year in rng.integers(2006, 2026, n_videos)],
        "duration_s": rng.random(n_videos) * 900 + 60,
    }
    _commit(store, "extract", number, {"videos": _filled(TABLES["videos"], n_videos, videos)})
    lost = [f"x{number:04d}{i:06d}" for i in range(int(n_videos * REJECTED_SHARE))]
    asked: dict[str, Any] = {
        "video_id": ids + lost,
        "query": [f"{HOSTILE} {i % N_QUERIES}" for i in range(len(ids + lost))],
    }
    asked |= {"source": ["search"] * len(ids + lost), "wanted_category_id": [10] * len(ids + lost)}
    _commit(store, "choose", number, {"candidates": _filled(TABLES["candidates"], len(ids + lost), asked)})
    reasons = [reason.value for reason in Reason if reason.class_.value == "never"]
    away = {"stage": ["extract"] * len(lost), "video_id": lost, "reason": rng.choice(reasons, len(lost)).tolist()}
    away |= {"class": ["never"] * len(lost), "at": ["2026-01-01T00:00:00+00:00"] * len(lost)}
    rejects = _filled(REJECTS, len(lost), away)
    commit_rows(store, "list", f"{number:05d}", {}, rejects.to_pylist())
    return _clips(store, rng, number, ids, categories, channels)


def _clips(
    store: Store, rng: np.random.Generator, number: int, ids: list[str], categories: Any, channels: list[str]
) -> pa.Table:
    n = len(ids) * CLIPS_A_VIDEO
    video = np.repeat(np.array(ids, object), CLIPS_A_VIDEO).tolist()
    count = np.tile(np.arange(CLIPS_A_VIDEO), len(ids))
    length = rng.integers(3000, 25_000, n)
    shared = {
        "clip_id": [f"{v}.{k}" for v, k in zip(video, count.tolist(), strict=True)],
        "video_id": video,
        "n": count,
        "start_ms": count * 30_000,
        "end_ms": count * 30_000 + length,
        "category_id": np.repeat(categories, CLIPS_A_VIDEO),
        "text": [HOSTILE] * n,
        "flags": ["[]"] * n,
    }
    said = {"confidence": rng.random(n), "language": rng.choice(LANGUAGES, n).tolist(), "boundary_model": ["net-3"] * n}
    clips = _filled(TABLES["clips"], n, {**shared, **said, "caption_kind": rng.choice(["auto", "manual"], n).tolist()})
    _commit(store, "clips", number, {"clips": clips})
    failed = rng.random(n) < FAILED_CLIPS
    made = {
        "key": [f"{v}_{k:05d}" for v, k in zip(video, count.tolist(), strict=True)],
        "status": np.where(failed, "failed", "success").tolist(),
        "reason": np.where(failed, Reason.SILENT.value, "").tolist(),
        "channel_id": np.repeat(np.array(channels, object), CLIPS_A_VIDEO).tolist(),
        "duration_ms": length,
        "width": np.full(n, 1280),
        "height": np.full(n, 720),
        "fps": rng.choice([25.0, 29.97, 30.0, 59.94], n),
        "codec": rng.choice(["h264", "vp9", "av1"], n).tolist(),
        "motion": rng.random(n) * 9,
    }
    packs = _filled(TABLES["packs"], n, {**shared, **made})
    _commit(store, "media", number, {"packs": packs})
    return packs


def _sources(store: Store, rng: np.random.Generator) -> None:
    queries = {"source": ["search"] * N_QUERIES, "query": [f"{HOSTILE} {i}" for i in range(N_QUERIES)]}
    facts = {"n_listed": rng.integers(1, 600, N_QUERIES), "wanted_category_id": np.full(N_QUERIES, 10)}
    rows = _filled(TABLES["sources"], N_QUERIES, {**queries, **facts})
    commit_rows(store, "list", "sources", {"sources": rows})


def _commit(store: Store, stage: str, number: int, tables: dict[str, pa.Table]) -> None:
    commit_rows(store, stage, f"{number:05d}", tables)


def _filled(schema: pa.Schema, n: int, columns: dict[str, Any]) -> pa.Table:
    """A table of n rows: the columns given, and values that mean "unknown" in the others."""

    def blank(kind: pa.DataType) -> pa.Array:
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            return pa.array(np.zeros(n), pa.float64()).cast(kind)
        return pa.array([[] if pa.types.is_list(kind) else ""] * n, kind)

    return pa.table({f.name: columns[f.name] if f.name in columns else blank(f.type) for f in schema}).cast(schema)


# shards


def _shared_tar(store: Store) -> list[str]:
    """Writes the tar of real samples; returns the `members` of each."""
    still = _noisy_jpeg()
    one = {"frame": 0, "time_ms": 0, "offset": 0, "size": len(still)}
    samples = []
    for n in range(N_SAMPLES):
        made = tiny_members(f"v{n:010d}", 0, category_id=10, channel_id=f"UC{HOSTILE}", title=HOSTILE, text=HOSTILE)
        facts = {**json.loads(made["json"]), "stills": json.dumps([one])}
        json_bytes = SampleJson(**facts).model_dump_json().encode()
        samples.append(Sample(f"v{n:010d}_00000", {**made, "json": json_bytes, "mjpg": still, "m4v": tiny_film(160)}))
    folder = Path(store.root)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        json.dumps({e: list(at) for e, at in p.members.items()}) for p in write_pack(folder / "shared.tar", samples)
    ]


def _noisy_jpeg() -> bytes:
    """A picture of 1280x720 that compresses as badly as real pictures."""
    picture = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 1280, 720, "yuvj420p"
    encoder.time_base = Fraction(1, 12)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _shard(store: Store, packs: pa.Table, number: int, places: list[str]) -> ShardEntry:
    url = f"shards/train/{number:05d}.tar"
    n = packs.num_rows
    good = np.array([status == "success" for status in packs.column("status").to_pylist()])
    same: tuple[str, ...] = (
        "key",
        "clip_id",
        "video_id",
        "channel_id",
        "category_id",
        "start_ms",
        "end_ms",
        "duration_ms",
        "reason",
    )
    same += ("width", "height", "fps", "codec")
    columns = {name: packs.column(name).combine_chunks() for name in same}
    columns |= {
        "url": [f"https://www.youtube.com/watch?v={i}" for i in packs.column("video_id").to_pylist()],
        "caption": [f"{HOSTILE} {'word ' * (i % 50)}" for i in range(n)],
        "clips": [f"[[0, {DURATION_MS}]]"] * n,
        "status": np.where(good, "success", "failed_to_subsample").tolist(),
        "members": [places[i % len(places)] if ok else "{}" for i, ok in enumerate(good.tolist())],
    }
    rows = _filled(SHARD_ROWS, n, columns)
    store.write_table(shard_files(url)[1], rows)
    os.link(Path(store.root) / "shared.tar", Path(store.root) / url)
    return entry_of(rows, url, "train", 0, f"{number:064x}", f"{number:032x}", store.size(url))


if __name__ == "__main__":
    main()
