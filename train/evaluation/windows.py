"""Where a sentence belongs: with its own clip, with the one before or the one after, or with none of them.

Speech often comes before or after what it tells of. The embedding of a sentence is compared with the clips around its
own, by a model that saw none of them in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float32]

SURE = 0.8
"""Probability of a window among the three from which it is proposed."""
AS_NEAR = 0.1
"""A window counts if it is as near as all but this share of the clips whose own sentence fits."""
PROPOSED = pa.schema(
    [
        ("key", pa.string()),
        ("category_id", pa.int32()),
        ("caption", pa.string()),
        ("belongs_to", pa.string()),  # the key of the clip that it fits: its own, a neighbour's; "": none
        ("offset_ms", pa.int64()),  # from its own clip's start to that clip's; 0 for its own and for none
        ("confidence", pa.float64()),  # the likeliest window's share among the three
    ]
)


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips that one model embedded; `rows` has key, start_ms, category_id and caption, in the vectors' order."""

    rows: pa.Table
    video: Floats
    text: Floats
    fits: npt.NDArray[np.bool_]
    """Whether a clip's own sentence fits."""
    temperature: float


def proposed(clips: Clips) -> pa.Table:
    """For each sentence the clip that it belongs to (PROPOSED): its own where it fits, else the nearest of the three if
    that is near and sure enough.
    """
    keys = np.array(clips.rows["key"].to_pylist(), object)
    starts = clips.rows["start_ms"].to_numpy()
    video = np.array([key.rpartition("_")[0] for key in keys], object)
    order = np.lexsort((starts, video.astype(str)))
    windows = np.full((len(keys), 3), -1)
    windows[:, 1] = np.arange(len(keys))
    same = video[order][1:] == video[order][:-1]
    windows[order[1:][same], 0] = order[:-1][same]
    windows[order[:-1][same], 2] = order[1:][same]
    cosine = np.where(windows >= 0, (clips.video[windows] * clips.text[:, None]).sum(2), -np.inf)
    odds = np.exp((cosine - cosine.max(1, initial=-1.0, keepdims=True)) / clips.temperature)
    share = odds / odds.sum(1, keepdims=True)
    best = cosine.argmax(1)
    at = np.arange(len(keys))
    near = np.quantile(cosine[clips.fits, 1], AS_NEAR) if clips.fits.any() else np.inf
    moved = ~clips.fits & (best != 1) & (share[at, best] >= SURE) & (cosine[at, best] >= near)
    target = np.where(moved, windows[at, best], at)
    columns: dict[str, Any] = {
        "key": clips.rows["key"],
        "category_id": clips.rows["category_id"],
        "caption": clips.rows["caption"],
        "belongs_to": [str(keys[k]) if ok else "" for k, ok in zip(target, clips.fits | moved, strict=True)],
        "offset_ms": np.where(moved, starts[target] - starts, 0),
        "confidence": share[at, best],
    }
    return pa.table(columns).cast(PROPOSED)


def mended(table: pa.Table) -> list[dict[str, str]]:
    """Pairs to train on, as a caption file: each clip with its own sentence where that fits, else with the surest of
    those that belong to it; clips without one are left out.
    """
    best: dict[str, tuple[bool, float, str]] = {}
    for row in table.to_pylist():
        found = row["belongs_to"] == row["key"], row["confidence"], row["caption"]
        if row["belongs_to"] and found > best.get(row["belongs_to"], (False, -1.0, "")):
            best[row["belongs_to"]] = found
    return [{"video": key, "caption": text} for key, (_, _, text) in sorted(best.items())]


def by_category(table: pa.Table) -> list[tuple[int, int, int, int, int, float]]:
    """(category id, sentences that fit their own clip, an earlier one, a later one, none; mean distance of those that
    belong elsewhere, seconds) for each category: how far speech lies from pictures.
    """
    category = table["category_id"].to_numpy()
    offset, fits = table["offset_ms"].to_numpy(), np.array(table["belongs_to"].to_pylist(), object) != ""
    found = []
    for category_id in np.unique(category).tolist():
        here = category == category_id
        far = offset[here & (offset != 0)]
        counts = here & fits & (offset == 0), here & (offset < 0), here & (offset > 0), here & ~fits
        own, earlier, later, none = (int(one.sum()) for one in counts)
        found.append((category_id, own, earlier, later, none, float(abs(far).mean()) / 1000 if len(far) else 0.0))
    return found
