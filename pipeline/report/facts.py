"""What only KEY.json says of a clip (licence, language, captions, scene cuts …), read from an even choice of clips."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.engine.store import Store
from pipeline.report.data import NO_SAMPLE, SHARD_COLUMN, members_of

MOST_CLIPS = 2000
"""Clips whose json is read: enough to tell shares to a per cent, few enough for a bucket."""
UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Columns over the clips that were looked at."""

    licence: tuple[str, ...]
    language: tuple[str, ...]
    caption_kind: tuple[str, ...]
    boundary_model: tuple[str, ...]
    upload_year: tuple[str, ...]
    alignment: tuple[float, ...]
    scene_cuts: tuple[int, ...]
    motion: tuple[float, ...]
    flags: tuple[str, ...]
    """Every flag of every clip."""

    def __len__(self) -> int:
        return len(self.licence)


def read_facts(store: Store, rows: pa.Table) -> ClipFacts:
    """The facts of at most MOST_CLIPS clips, evenly chosen in the order of the shards."""
    n = rows.num_rows
    places = np.unique(np.linspace(0, n - 1, min(n, MOST_CLIPS)).astype(np.int64)) if n else np.empty(0, np.int64)
    chosen = rows.select([SHARD_COLUMN, "members"]).take(pa.array(places)).to_pylist()
    samples = []
    for row in chosen:
        try:
            sample = _json_of(store, row)
            facts_of([sample])  # one that cannot be counted is left out alone
        except NO_SAMPLE:
            continue
        samples.append(sample)
    return facts_of(samples)


def _json_of(store: Store, row: dict[str, Any]) -> dict[str, Any]:
    offset, size = members_of(row)["json"]
    found: dict[str, Any] = json.loads(store.read_range(row[SHARD_COLUMN], offset, offset + size))
    return found


def facts_of(samples: Sequence[dict[str, Any]]) -> ClipFacts:
    """Columns of KEY.jsons; a key that one lacks, as older ones may, is not known."""
    return ClipFacts(
        licence=_texts(samples, "license"),
        language=_texts(samples, "language"),
        caption_kind=_texts(samples, "caption_kind"),
        boundary_model=_texts(samples, "boundary_model"),
        upload_year=tuple(str(s.get("upload_date") or "")[:4] or UNKNOWN for s in samples),
        alignment=tuple(float(s.get("alignment_confidence", math.nan)) for s in samples),
        scene_cuts=tuple(len(json.loads(s.get("scene_cuts") or "[]")) for s in samples),
        motion=tuple(float(s.get("motion", math.nan)) for s in samples),
        flags=tuple(str(flag) for s in samples for flag in json.loads(s.get("flags") or "[]")),
    )


def _texts(samples: Sequence[dict[str, Any]], key: str) -> tuple[str, ...]:
    return tuple(str(sample.get(key) or UNKNOWN) for sample in samples)


def shares_of(values: Iterable[str], most: int = 12) -> dict[str, int]:
    """{value: count}, most frequent first; what is beyond `most` is summed as `others`."""
    counts = Counter(values).most_common()
    shown = dict(sorted(counts[:most], key=lambda item: (-item[1], item[0])))
    if rest := sum(count for _, count in counts[most:]):
        shown[f"others ({len(counts) - most})"] = rest
    return shown
