"""Writes a data set as a folder that Hugging Face `datasets` and the hub's viewer read by its README.

    README.md               the card: licence, languages, splits, columns
    LICENSE.md              how many clips are under which licence
    data/<split>/*.parquet  ids, spans and texts; with media instead data/<split>/*.tar: clips with their members
    hdvila.json             the manifest that it was made from, and what was chosen of it; written last

Nothing else of the data set goes along: no tables, no configuration, no list of what was removed.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from manifests.categories import category_name
from manifests.clip_status import is_success
from manifests.errors import DamagedFile, UserError
from manifests.image_sample import IMAGE_KIND
from manifests.parallel import side_by_side
from manifests.parquet import parquet_bytes
from manifests.review import read_review
from manifests.rows import ShardRow
from manifests.sample import read_sample
from manifests.shards import Manifest, ShardEntry, counts_of, member_offsets
from pipeline.dataset.exact import join_clips
from pipeline.dataset.hub_card import Contents, hub_card, licence_page, named_licences
from pipeline.engine.run.progress import counted
from pipeline.engine.store.store import Store
from pipeline.shards.files import SUCCESS, entry_of, pieces_of, read_rows
from pipeline.shards.manifest import given_head

FACTS_NAME, CARD_NAME, LICENCES_NAME = "hdvila.json", "README.md", "LICENSE.md"
DATA = "data"
"""Folder with all that is not about the export."""
ROWS_A_FILE = 500_000
"""Clips in a Parquet file, about 60 MB of it."""


class Choice(NamedTuple):
    """What an export is to hold. `licences`: words of which a clip's licence must have one; empty: any, or unknown."""

    media: bool = False
    exact: bool = True
    licences: tuple[str, ...] = ()


class _Video(NamedTuple):
    licence: str
    language: str


def contents_of(source: Store, manifest: Manifest, choice: Choice) -> Contents:
    """The videos and clips that the choice leaves. UserError if it leaves none, or for a set of pictures."""
    if manifest.head.get("kind") == IMAGE_KIND:
        raise UserError(f"{source.url}: an image-text set; on the hub its dataset_card.md is the README.md as it is")
    videos: dict[str, _Video] = {}
    clips: Counter[str] = Counter()
    took_ms: Counter[str] = Counter()
    for entry in counted(manifest.shards, len(manifest.shards), "licences"):
        rows = [row for row in read_rows(source, entry.url).to_pylist() if row["status"] == SUCCESS]
        new = {row["video_id"]: row for row in rows if row["video_id"] not in videos}
        videos.update(zip(new, side_by_side(partial(_video, source, entry), new.values()), strict=True))
        for row in rows:
            licence = videos[row["video_id"]].licence
            clips[licence] += 1
            took_ms[licence] += row["duration_ms"]
    words = [word.casefold() for word in choice.licences]
    taken = {licence for licence in clips if not words or any(word in licence.casefold() for word in words)}
    if not taken:
        raise UserError(f"{source.url}: --licence leaves no clip; the licences here: {named_licences(clips)}")
    left = {video_id: video for video_id, video in videos.items() if video.licence in taken}
    return Contents(
        licence_of={video_id: video.licence for video_id, video in left.items()},
        language_of={video_id: video.language for video_id, video in left.items()},
        clips={licence: clips[licence] for licence in sorted(taken)},
        hours=sum(took_ms[licence] for licence in taken) / 3_600_000,
    )


def _video(source: Store, entry: ShardEntry, row: ShardRow) -> _Video:
    """Reads what the KEY.json of one of its clips says of a video."""
    try:
        at, size = member_offsets(row["members"])["json"]
        sample = read_sample(source.read_range(entry.url, at, at + size))
    except (ValueError, KeyError, RecursionError) as error:
        why = "there is none" if isinstance(error, KeyError) else str(error).partition("\n")[0][:200]
        raise DamagedFile(
            f"{source.url}/{entry.url}: {row['key']!r}: its json cannot be read ({why}); "
            "`hdvila-pipeline verify` the data set"
        ) from None
    return _Video(sample.license, sample.language)


def facts_of(manifest: Manifest, contents: Contents, choice: Choice) -> dict[str, Any]:
    """hdvila.json: by it a folder is known again that was written from the same with the same choice."""
    chosen = {"media": choice.media, "exact": choice.media and choice.exact, "licences": list(choice.licences)}
    counts = {"n_videos": len(contents.licence_of), "n_clips": sum(contents.clips.values())}
    return {"manifest": manifest.sha256, **chosen, **counts}


def is_written(out: Store, facts: Mapping[str, Any]) -> bool:
    """Whether the folder holds this export already. UserError if there is anything else."""
    if out.exists(FACTS_NAME) and out.read_json(FACTS_NAME) == facts:
        return True
    if out.names("") or out.folders(""):
        raise UserError(f"{out.url}: is not empty, and not this export; name another folder, or delete it first")
    return False


def write_hub_folder(source: Store, manifest: Manifest, out: Store, contents: Contents, choice: Choice) -> None:
    """Writes the folder, which must be empty."""
    write = _write_clips if choice.media else _write_texts
    entries = write(source, manifest, out, contents, choice)
    exact = {"media.cut.mode": "exact"} if choice.exact else {}
    head = {**manifest.head, **counts_of(entries), "config": {**manifest.head.get("config", {}), **exact}}
    out.write(LICENCES_NAME, licence_page(contents).encode())
    card = given_head(manifest.head)[1]
    text = hub_card(head, card, contents, with_media=choice.media, review=read_review(source))
    out.write(CARD_NAME, text.encode())
    out.write_json(FACTS_NAME, facts_of(manifest, contents, choice))


def _write_texts(source: Store, manifest: Manifest, out: Store, contents: Contents, choice: Choice) -> list[ShardEntry]:
    entries: list[ShardEntry] = []

    def rows_of(shards: Sequence[ShardEntry]) -> Iterator[pa.Table]:
        for entry in shards:
            rows = read_rows(source, entry.url)
            is_wanted = pc.is_in(rows["video_id"], value_set=pa.array(contents.licence_of, pa.string()))
            rows = rows.filter(pc.and_(is_wanted, is_success(rows["status"])))
            texts = _texts(rows, contents)
            entries.append(entry_of(rows, entry.url, entry.split, 0, "", "", texts.nbytes))
            yield texts

    for split in dict.fromkeys(entry.split for entry in manifest.shards):
        shards = manifest.split(split)
        for number, rows in enumerate(_of_a_file(counted(rows_of(shards), len(shards), f"export {split}"))):
            out.write(f"{DATA}/{split}/{number:05d}.parquet", parquet_bytes(rows))
    return [entry for entry in entries if entry.nsamples]


def _texts(rows: pa.Table, contents: Contents) -> pa.Table:
    ids = rows["video_id"].to_pylist()
    more = {
        "category": [category_name(category_id) for category_id in rows["category_id"].to_pylist()],
        "language": [contents.language_of[video_id] for video_id in ids],
        "license": [contents.licence_of[video_id] for video_id in ids],
    }
    columns = ["clip_id", "video_id", "url", "start_ms", "end_ms", "caption", "channel_id"]
    table = rows.select(columns)
    for name, values in more.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    return table


def _of_a_file(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Joins tables until they have ROWS_A_FILE rows; none is without a row."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(each.num_rows for each in held) >= ROWS_A_FILE:
            yield pa.concat_tables(held)
            held = []
    if any(each.num_rows for each in held):
        yield pa.concat_tables(held)


def _write_clips(source: Store, manifest: Manifest, out: Store, contents: Contents, choice: Choice) -> list[ShardEntry]:
    entries: list[ShardEntry] = []
    numbers: Counter[str] = Counter()
    for entry in counted(manifest.shards, len(manifest.shards), "export"):
        pieces = [piece for piece in pieces_of(source, entry) if piece.sample]
        pieces = [piece for piece in pieces if piece.row["video_id"] in contents.licence_of]
        if not pieces:
            continue
        url = f"{DATA}/{entry.split}/{numbers[entry.split]:05d}.tar"
        numbers[entry.split] += 1
        with tempfile.TemporaryDirectory() as scratch:
            entries.append(join_clips(source, entry, pieces, Path(scratch), exact=choice.exact, url=url))
            out.put(Path(scratch) / Path(url).name, url)
    return entries
