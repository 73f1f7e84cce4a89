"""Where a sentence belongs: with its own clip, with another time of its video, or nowhere.

Speech often comes before or after what it tells of. The embedding of a sentence is compared with what is shown around
it, by a model that saw none of that in training: with the clips before and after its own, or finer, with windows of the
whole video (`around.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from train.evaluation.around import Windows

Floats = npt.NDArray[np.float32]

SURE = 0.8
"""Probability of a window among those compared, and of those that show half of the same, from which it is proposed."""
AS_NEAR = 0.1
"""A window counts if it is as near as all but this share of the clips whose own sentence fits."""
REACH_MS = 30_000
"""How far from a sentence finer windows are compared with it."""
PROPOSED = pa.schema(
    [
        ("key", pa.string()),
        ("category_id", pa.int32()),
        ("caption", pa.string()),
        ("belongs_to", pa.string()),  # the key of the clip that shows most of what it fits; "": none
        ("offset_ms", pa.int64()),  # by how much its times are to change; 0 for its own clip and for none
        ("confidence", pa.float64()),  # the likeliest window's share among those compared
    ]
)


@dataclass(frozen=True, slots=True)
class Clips:
    """The clips that one model embedded; `rows` has key, start_ms, end_ms, category_id and caption, in the vectors'
    order.
    """

    rows: pa.Table
    video: Floats
    text: Floats
    fits: npt.NDArray[np.bool_]
    """Whether a clip's own sentence fits."""
    temperature: float
    windows: Windows | None = None
    """Of the clips' videos; None: only clips are compared."""


def proposed(clips: Clips) -> pa.Table:
    """For each sentence the clip that it belongs to (PROPOSED): its own where it fits, else the one that shows most of
    the nearest window, if that is near and sure enough.
    """
    keys = np.array(clips.rows["key"].to_pylist(), object)
    starts, ends = clips.rows["start_ms"].to_numpy(), clips.rows["end_ms"].to_numpy()
    own = (clips.video * clips.text).sum(1)
    least = np.quantile(own[clips.fits], AS_NEAR) if clips.fits.any() else np.inf
    video = np.array([key.rpartition("_")[0] for key in keys], object)
    belongs_to = np.where(clips.fits, keys, "")
    offset_ms, confidence = np.zeros(len(keys), np.int64), np.ones(len(keys))
    windows = {} if clips.windows is None else {clips.windows.video[at[0]]: at for at in _by_value(clips.windows.video)}
    for rows in _by_value(video):
        rows = rows[np.argsort(starts[rows], kind="stable")]
        for place, row in enumerate(rows):
            beside = rows[max(0, place - 1) : place + 2]
            middles, vectors = (starts[beside] + ends[beside]) // 2, clips.video[beside]
            middle = (starts[row] + ends[row]) // 2
            if clips.windows is not None:
                finer = windows.get(video[row], np.zeros(0, np.int64))
                finer = finer[abs(clips.windows.middle_ms[finer] - middle) <= REACH_MS]
                middles = np.append(middle, clips.windows.middle_ms[finer])
                vectors = np.concatenate([clips.video[[row]], clips.windows.vectors[finer]])
            cosine = vectors @ clips.text[row]
            odds = np.exp((cosine - cosine.max()) / clips.temperature)
            best = int(cosine.argmax())
            half_ms = (ends[row] - starts[row]) // 2
            share = odds[abs(middles - middles[best]) < max(1, half_ms)].sum() / odds.sum()
            confidence[row] = share
            if clips.fits[row] or middles[best] == middle or share < SURE or cosine[best] < least:
                continue
            offset_ms[row] = middles[best] - middle
            shown = np.minimum(ends[rows], middles[best] + half_ms) - np.maximum(starts[rows], middles[best] - half_ms)
            belongs_to[row] = keys[rows[shown.argmax()]]
    columns: dict[str, Any] = {
        "key": clips.rows["key"],
        "category_id": clips.rows["category_id"],
        "caption": clips.rows["caption"],
        "belongs_to": belongs_to.tolist(),
        "offset_ms": offset_ms,
        "confidence": confidence,
    }
    return pa.table(columns).cast(PROPOSED)


def _by_value(values: npt.NDArray[np.object_]) -> list[npt.NDArray[np.int64]]:
    """The rows of each value."""
    order = np.argsort(values.astype(str), kind="stable")
    return np.split(order, np.flatnonzero(values[order][1:] != values[order][:-1]) + 1) if len(order) else []


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
