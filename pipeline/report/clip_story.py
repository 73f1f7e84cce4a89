"""What became of each clip of one video: kept, lost with its reason, or not decided yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import ClipStatus, is_success
from manifests.parallel import side_by_side
from manifests.reasons import meaning_of
from manifests.sample import sample_key
from manifests.shards import ShardEntry
from pipeline.engine.store.store import Store
from pipeline.shards.closed import kept_held, read_entries
from pipeline.shards.draw import SPLITS
from pipeline.shards.files import read_rows

WITH_VIDEO = "with its video"
"""How the detail of a clip begins that is lost with its video, in the view `all_clips`."""


@dataclass(frozen=True, slots=True)
class ClipFate:
    """A clip's end: `stage` and `reason` say where and why it was lost, "" if it was not; `note` adds to that."""

    clip_id: str
    n: int
    span_ms: tuple[int, int] | None
    is_kept: bool
    stage: str = ""
    reason: str = ""
    note: str = ""

    @property
    def words(self) -> str:
        """Its end in words."""
        if self.is_kept:
            return "kept"
        if not self.reason:
            return "not decided yet"
        note = f" ({self.note})" if self.note else ""
        return f"lost at {self.stage}: {self.reason}, {meaning_of(self.reason) or 'no further meaning'}{note}"


def shards_of(store: Store, video_id: str) -> dict[str, ShardEntry]:
    """{key: its shard} of the samples of a video in the manifest's shards; {} before there is a manifest.

    What each generation holds was written down when it was closed, so that only shards that may hold it are read.
    """
    by_generation: dict[int, list[ShardEntry]] = {}
    for entry in read_entries(store):
        by_generation.setdefault(entry.generation, []).append(entry)
    near: list[ShardEntry] = []
    for generation, entries in by_generation.items():
        held = kept_held(store, generation, entries)
        row = pc.index(held.video_id, video_id).as_py() if held else -1
        if held is None or row >= 0:
            near += [entry for entry in entries if held is None or entry.split == SPLITS[held.split[row]]]

    def keys(entry: ShardEntry) -> list[str]:
        rows = read_rows(store, entry.url, ["key", "video_id", "status"])
        rows = rows.filter(pc.and_(pc.equal(rows["video_id"], video_id), is_success(rows["status"])))
        found: list[str] = rows["key"].to_pylist()
        return found

    return {key: entry for entry, found in zip(near, side_by_side(keys, near), strict=True) for key in found}


def clips_in_shards(store: Store, wanted: Mapping[str, int | None]) -> Iterator[tuple[str, str]]:
    """(clip id, words) of every clip of these videos, or the one of each that is named, that a shard has a row of."""
    columns = ["key", "clip_id", "video_id", "status", "reason", "error_message"]
    for entry in read_entries(store):
        rows = read_rows(store, entry.url, columns)
        for row in rows.filter(pc.is_in(rows["video_id"], pa.array(list(wanted), pa.string()))).to_pylist():
            n = wanted[row["video_id"]]
            if n is not None and row["clip_id"] != f"{row['video_id']}.{n}":
                continue
            kept = row["status"] == ClipStatus.SUCCESS.in_shards
            fate = ClipFate(row["clip_id"], 0, None, kept, "shards", row["reason"], row["error_message"])
            yield row["clip_id"], f"{fate.words}: {entry.url}, split {entry.split}, key {row['key']}"


def lost_clips(fates: Sequence[ClipFate]) -> Iterator[tuple[str, str]]:
    """(stage, words): how many clips were lost on their own, by reason, each with an example."""
    lost: dict[tuple[str, str], list[ClipFate]] = {}
    for fate in fates:
        if fate.reason and not fate.note.startswith(WITH_VIDEO):
            lost.setdefault((fate.stage, fate.reason), []).append(fate)
    for (stage, reason), some in lost.items():
        meaning = f" ({meaning_of(reason)})" if meaning_of(reason) else ""
        note = f" ({some[0].note})" if some[0].note else ""
        yield stage, f"{len(some)} of {len(fates)} clips lost: {reason}{meaning}, for example {some[0].clip_id}{note}"


def kept_clips(shards: Mapping[str, ShardEntry]) -> Iterator[tuple[str, str]]:
    """(stage, words): how many samples each shard has, with an example."""
    by_shard: dict[str, list[str]] = {}
    for key, shard in shards.items():
        by_shard.setdefault(shard.url, []).append(key)
    for url, keys in sorted(by_shard.items()):
        yield "shards", f"{len(keys)} in {url}, split {shards[keys[0]].split}, for example {min(keys)}"


def story_of_clip(
    fates: Sequence[ClipFate], shards: Mapping[str, ShardEntry], video_id: str, n: int
) -> Iterator[tuple[str, str]]:
    """(clip id, words) of one clip, or that the video has none of that number."""
    fate = next((fate for fate in fates if fate.n == n), None)
    if fate is None:
        there = f"it has {fates[0].clip_id} … {fates[-1].clip_id}" if fates else "none was planned of this video"
        yield f"{video_id}.{n}", f"no such clip; {there}"
        return
    if fate.span_ms:
        first, last = (f"{ms / 1000:.2f}" for ms in fate.span_ms)
        yield fate.clip_id, f"planned: {first} to {last} s"
    shard = shards.get(sample_key(video_id, n))
    where = f": {shard.url}, split {shard.split}, key {sample_key(video_id, n)}" if shard else ""
    waits = "; in no shard yet" if fate.is_kept and not shard else ""
    yield fate.clip_id, f"{fate.words}{where}{waits}"
