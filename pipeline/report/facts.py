"""Facts about clips that the shards' rows do not hold: licence, language, captions, motion, scene cuts …

Taken for every clip from the run's own tables (`videos`, `clips`, `packs`) if they have it. Otherwise from the KEY.json
of MOST_CLIPS evenly chosen clips: scene cuts always, and everything if a data set was merged or has no tables.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.engine.store import Store
from pipeline.report.data import NO_SAMPLE
from pipeline.report.rows import SHARD_COLUMN, evenly

MOST_CLIPS = 2000
"""Clips whose json is read: enough to measure shares to one per cent, few enough for a bucket."""
UNKNOWN = "not known"

COUNTED = ("licence", "language", "caption_kind", "boundary_model", "upload_year", "scene_cuts", "flags")
MEASURED = ("alignment", "motion")


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """By subject: how many clips have each value (a clip has any number of flags), or each clip's number."""

    licence: Mapping[str, int]
    language: Mapping[str, int]
    caption_kind: Mapping[str, int]
    boundary_model: Mapping[str, int]
    upload_year: Mapping[str, int]
    scene_cuts: Mapping[str, int]
    flags: Mapping[str, int]
    alignment: NDArray[np.float64]
    motion: NDArray[np.float64]
    clips_behind: Mapping[str, int]
    """By subject: how many clips were counted."""
    n_json: int
    """Clips whose KEY.json was read."""


def read_facts(store: Store, clips: pa.Table) -> ClipFacts:
    """The facts of these clips (pipeline.report.rows.CLIP_COLUMNS)."""
    samples = _read_samples(store, evenly(clips, MOST_CLIPS))
    found: dict[str, Any] = {subject: _count(samples, subject) for subject in COUNTED}
    found |= {
        "alignment": np.array([s.get("alignment_confidence", math.nan) for s in samples], np.float64),
        "motion": np.array([s.get("motion", math.nan) for s in samples], np.float64),
    }
    known = _from_tables(store, clips)
    behind = {name: clips.num_rows if name in known else len(samples) for name in (*COUNTED, *MEASURED)}
    found["motion"] = found["motion"][found["motion"] >= 0]
    return ClipFacts(**{**found, **known}, clips_behind=behind, n_json=len(samples))


def _read_samples(store: Store, clips: pa.Table) -> list[dict[str, Any]]:
    samples = []
    for row in clips.select([SHARD_COLUMN, "json_offset", "json_bytes"]).to_pylist():
        start = row["json_offset"]
        try:
            if start < 0:
                raise ValueError("the row names no json")
            sample = json.loads(store.read_range(row[SHARD_COLUMN], start, start + row["json_bytes"]))
            for subject in COUNTED:
                _values(sample, subject)
            float(sample.get("alignment_confidence", 0)), float(sample.get("motion", 0))
        except NO_SAMPLE:  # only this clip is left out
            continue
        samples.append(sample)
    return samples


_KEYS = {"licence": "license", "upload_year": "upload_date"}


def _values(sample: Mapping[str, Any], subject: str) -> list[str]:
    """The values of one clip; a key that it lacks, as older ones may, counts as unknown."""
    value = sample.get(_KEYS.get(subject, subject))
    if subject == "flags":
        return [str(flag) for flag in json.loads(value or "[]")]
    if subject == "scene_cuts":
        return [_cuts(len(json.loads(value or "[]")))]
    text = str(value or "")
    return [(text[:4] if subject == "upload_year" else text) or UNKNOWN]


def _cuts(n: int) -> str:
    return f"{n:2d}"  # padded, so that they sort as numbers


def _count(samples: Sequence[Mapping[str, Any]], subject: str) -> Counter[str]:
    return Counter(value for sample in samples for value in _values(sample, subject))


def _from_tables(store: Store, clips: pa.Table) -> dict[str, Any]:
    """The subjects that the run's tables know for every one of the clips."""
    if not clips.num_rows:
        return {}
    found: dict[str, Any] = {}
    if (rows := _joined(store, "videos", "video_id", ["license", "upload_date"], clips)) is not None:
        found["licence"] = _counts(rows.column("license"))
        found["upload_year"] = _counts(pc.utf8_slice_codeunits(rows.column("upload_date"), 0, 4))
    columns = ["language", "caption_kind", "boundary_model", "confidence"]
    if (rows := _joined(store, "clips", "clip_id", columns, clips)) is not None:
        found |= {name: _counts(rows.column(name)) for name in columns[:3]}
        found["alignment"] = _numbers(rows.column("confidence"))
    if (rows := _joined(store, "packs", "clip_id", ["motion", "flags"], clips)) is not None:
        found["motion"] = _numbers(rows.column("motion"))
        found["motion"] = found["motion"][found["motion"] >= 0]
        found["flags"] = _counts(rows.column("flags"), lambda text: [str(flag) for flag in json.loads(text or "[]")])
    return found


def _joined(store: Store, table: str, key: str, columns: list[str], clips: pa.Table) -> pa.Table | None:
    """These columns, one row per clip in order; None if the table lacks one of the clips."""
    rows = store.read_table(table, [key, *columns])
    latest = rows.take(pa.array(np.arange(rows.num_rows)[::-1]))  # the outcome of a retry is in a later part
    row = pc.index_in(clips.column(key), value_set=latest.column(key).combine_chunks())
    return None if row.null_count else latest.select(columns).take(row)


def _counts(column: pa.ChunkedArray, split: Callable[[str], list[str]] | None = None) -> Counter[str]:
    """How often each value occurs; `split` turns one value into several."""
    found: Counter[str] = Counter()
    for row in pc.value_counts(column).to_pylist():
        for value in split(row["values"]) if split else [row["values"] or UNKNOWN]:
            found[value] += row["counts"]
    return found


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def most_frequent(counts: Mapping[str, int], most: int = 12) -> dict[str, int]:
    """{value: clips}, most frequent first; values beyond the first `most` are summed as `others`."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = dict(ordered[:most])
    if rest := sum(count for _, count in ordered[most:]):
        shown[f"others ({len(ordered) - most})"] = rest
    return shown
