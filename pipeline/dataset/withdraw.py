"""Takes clips out for what they say: of an output directory's tables and packs, so that no later run makes them again.

    clips          their rows stay, with a flag: media cuts nothing for them
    packs          their rows stay, as failed with the reason `opted_out` and no words; the tar is written without them
    stills         their rows stay without a picture

New clips that say the same are left out when they are planned (pipeline/text/clips.py). A purge also erases the clips'
words, and all words of the videos that hold them: captions and transcripts say the sentence too.
"""

import json
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import ClipStatus
from manifests.reasons import Reason
from manifests.sample import WITHDRAWN
from pipeline.dataset.edit import REJECTS, edit_tables
from pipeline.dataset.purge import emptied
from pipeline.engine.store.store import Store
from pipeline.media.packs import END, copy_range, index_pack
from pipeline.media.stage import pack_name
from pipeline.outdir.sayings import Sayings

_OF_VIDEO = {
    **dict.fromkeys(("listings", "candidates", "videos"), ("given_spans",)),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "heard": ("words",),
    REJECTS: ("detail",),
}
"""What a purge empties of a video that says it: all that may hold its words."""
_NOTHING = {"pack": "", "pack_offset": -1, "pack_bytes": 0, "pack_crc": -1, "error_message": ""}
_NO_WORDS = {"text": "", "members": "{}", "phashes": b""}


@dataclass
class Said:
    """The clips in tables that say a sentence (by their ids), their videos and packs; and other videos that say it."""

    clips: set[str] = field(default_factory=set)
    videos: set[str] = field(default_factory=set)
    packs: dict[str, set[str]] = field(default_factory=dict)
    """{pack: the keys of those samples in it}"""


def withdraw(store: Store, sayings: Sayings, *, purge: bool) -> tuple[set[str], int]:
    """(the ids of the clips in tables that say one of these sentences, the number of rows that a purge emptied)."""
    if not sayings:
        return set(), 0
    said = _said_in(store, sayings, purge=purge)
    moved = {pack: _without(store, pack, keys) for pack, keys in said.packs.items() if store.exists(pack)}
    edits = {
        "clips": partial(_edited, said.videos, partial(_clip, said.clips, sayings, purge)),
        "packs": partial(_edited, said.videos, partial(_packed, said.clips, sayings, moved)),
        "stills": partial(_edited, said.videos, partial(_unseen, said.clips)),
    }
    n_rows = edit_tables(store, edits)
    _delete_strays(store)
    if purge:
        n_rows += edit_tables(store, {table: emptied(columns, said.videos) for table, columns in _OF_VIDEO.items()})
    return said.clips, n_rows * purge


def _delete_strays(store: Store) -> None:
    """Deletes the packs that no row names (any more); a removal that was interrupted may have left them."""
    named = {pack for rows in store.read_runs("packs", ["pack"]) for pack in pc.unique(rows.column("pack")).to_pylist()}
    packs = (f"packs/{name}" for name in store.names("packs") if name.endswith(".tar"))
    store.delete_all(sorted(pack for pack in packs if pack not in named))


def _said_in(store: Store, sayings: Sayings, *, purge: bool) -> Said:
    said = Said()
    for table, more in (("clips", []), ("packs", ["pack", "key"])):
        for rows in store.read_runs(table, ["clip_id", "video_id", "text", *more]):
            mine = rows.filter(pa.array([sayings.in_(text) for text in rows.column("text").to_pylist()], pa.bool_()))
            said.clips.update(mine.column("clip_id").to_pylist())
            said.videos.update(mine.column("video_id").to_pylist())
            for row in mine.select(more).to_pylist() if more else ():
                if row["pack"]:
                    said.packs.setdefault(row["pack"], set()).add(row["key"])
    for rows in store.read_runs("transcripts", ["video_id", "words"]) if purge else ():
        words = rows.column("words").combine_chunks()
        texts = pa.ListArray.from_arrays(words.offsets, words.values.field("text"))
        whole = pc.binary_join(texts, " ").to_pylist()
        said.videos.update(rows.column("video_id").filter(pa.array([sayings.in_(it) for it in whole])).to_pylist())
    return said


def _without(store: Store, pack: str, keys: Collection[str]) -> tuple[str, dict[str, int]]:
    """Writes a pack without these samples: (its name, {key: offset} of the others); "" if nothing is left."""
    with tempfile.TemporaryDirectory() as folder, store.open(pack) as old:
        new, offsets = Path(folder) / "pack.tar", {}
        with new.open("wb") as out:
            for sample in index_pack(old):  # type: ignore[arg-type]
                if sample.key not in keys:
                    offsets[sample.key] = out.tell()
                    copy_range(old, sample.offset, sample.bytes_, out)  # type: ignore[arg-type]
            out.write(END)
        if not offsets:
            return "", {}
        name = pack_name(next(iter(offsets)).rpartition("_")[0], new)
        store.put(new, name)
        return name, offsets


Change = Callable[[dict[str, Any]], dict[str, Any]]


def _edited(videos: Collection[str], change: Change, rows: pa.Table) -> tuple[pa.Table, int]:
    of_video = pc.is_in(rows.column("video_id"), value_set=pa.array(sorted(videos), pa.string()))
    if not pc.any(of_video).as_py():
        return rows, 0
    old = rows.to_pylist()
    new = [change(row) if row["video_id"] in videos else row for row in old]
    n_changed = sum(a != b for a, b in zip(old, new, strict=True))
    return (pa.Table.from_pylist(new, schema=rows.schema), n_changed) if n_changed else (rows, 0)


def _is_meant(row: dict[str, Any], clips: Collection[str], sayings: Sayings) -> bool:
    """By its id, or, where the wide columns lie apart, by what it says."""
    return row["clip_id"] in clips if "clip_id" in row else sayings.in_(row.get("text", ""))


def _clip(clips: Collection[str], sayings: Sayings, purge: bool, row: dict[str, Any]) -> dict[str, Any]:
    if not _is_meant(row, clips, sayings):
        return row
    new = dict(row)
    if "flags" in row and WITHDRAWN not in (flags := json.loads(row["flags"] or "[]")):
        new["flags"] = json.dumps([*flags, WITHDRAWN])
    if purge and "text" in row:
        new["text"] = ""
    return new


def _unseen(clips: Collection[str], row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "still": b""} if row.get("clip_id") in clips else row


def _packed(
    clips: Collection[str], sayings: Sayings, moved: dict[str, tuple[str, dict[str, int]]], row: dict[str, Any]
) -> dict[str, Any]:
    new = dict(row)
    if _is_meant(row, clips, sayings):
        gone = {"status": ClipStatus.FAILED.value, "reason": Reason.OPTED_OUT.value, **_NOTHING, **_NO_WORDS}
        new |= {name: value for name, value in gone.items() if name in row}
    elif row.get("pack") in moved:
        name, offsets = moved[row["pack"]]
        new |= {"pack": name, "pack_offset": offsets.get(row["key"], -1)}
    return new
