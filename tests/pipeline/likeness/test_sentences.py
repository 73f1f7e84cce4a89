"""Sentences that a channel repeats, however clips come."""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from hdvila_testing.rows import commit_rows
from manifests.errors import DamagedFile
from manifests.schema import TABLES
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context
from pipeline.likeness import sentences
from pipeline.likeness.comparing import Comparing
from pipeline.likeness.matches import Matches
from pipeline.likeness.sentences import SAID_AGAIN
from tests.pipeline.likeness.compare import compare

Said = list[tuple[str, int, str]]
"""(video_id, number, text) of clips."""


def clips(rows: Said) -> pa.Table:
    schema = pa.schema([("video_id", pa.string()), ("n", pa.int64()), ("text", pa.string())])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def of_channels(channels: dict[str, str]) -> pa.Table:
    ids, names = pa.array(list(channels), pa.string()), pa.array(list(channels.values()), pa.string())
    return pa.table({"video_id": ids, "channel_id": names, "order": [0] * len(ids)})


def found(store: Store, videos: pa.Table) -> dict[str, str]:
    """What a plan reads."""
    return sentences.find_repeats(Matches(store).of(sentences.SENTENCES), videos)


def repeated(folder: Path, parts: list[Said], channels: dict[str, str]) -> dict[str, str]:
    store, videos = Store(str(folder / "out")), of_channels(channels)
    for number, part in enumerate(parts):
        commit(store, part, number)
        compare(store, sentences.kind_of(), videos, folder)
    return found(store, videos)


def test_a_sentence_that_a_channel_repeats_counts_once(tmp_path: Path) -> None:
    greeting = ["Hello and welcome back!", "hello, and WELCOME back", "Hello — and welcome back…"]
    rows = [(f"v{i}", 2, text) for i, text in enumerate(greeting)]
    rows += [("x0", 0, "Hello and welcome back!"), ("v0", 5, "Something said only once here.")]
    rows += [(f"v{i}", 3, "Thank you.") for i in range(3)]
    channels = {"v0": "a", "v1": "a", "v2": "a", "x0": "b"}
    assert repeated(tmp_path, [rows], channels) == {"v1.2": "v0.2", "v2.2": "v0.2"}


def test_parts_of_the_table_are_compared_with_each_other_and_one_video_with_itself_is_no_repeat(tmp_path: Path) -> None:
    text = "This sentence stands in three parts."
    channels = {"v0": "a", "v1": "a", "v2": "a", "w": "b", "u0": "", "u1": "", "u2": ""}
    parts: list[Said] = [[(v, 0, text)] for v in channels] + [[("w", n, text) for n in range(1, 4)]]
    assert repeated(tmp_path / "all", parts, channels) == {"v1.0": "v0.0", "v2.0": "v0.0"}
    assert repeated(tmp_path / "none", [], channels) == {}


def by_the_rule(rows: Said, channels: dict[str, str]) -> dict[str, str]:
    groups = defaultdict(list)
    for video_id, n, text in sorted(rows):
        if channels.get(video_id) and len(text.split()) >= SAID_AGAIN.min_sentence_words:
            groups[channels[video_id], text].append((video_id, n))
    found = {}
    for group in groups.values():
        if len({video_id for video_id, _ in group}) >= SAID_AGAIN.min_repeats:
            first, *others = (f"{video_id}.{n}" for video_id, n in group)
            found.update(dict.fromkeys(others, first))
    return dict(sorted(found.items()))


def commit(store: Store, rows: Said, number: int) -> None:
    blank = {
        f.name: [] if pa.types.is_list(f.type) else "" if pa.types.is_string(f.type) else 0 for f in TABLES["clips"]
    }
    whole = [blank | row | {"clip_id": f"{row['video_id']}.{row['n']}"} for row in clips(rows).to_pylist()]
    commit_rows(store, "clips", f"u{number}", {"clips": whole})


def test_clips_wait_until_their_video_is_known(tmp_path: Path) -> None:
    store, channels = Store(str(tmp_path / "out")), {f"v{i}": "a" for i in range(6)}
    commit(store, [(video_id, 0, "a sentence that everybody says") for video_id in channels], 0)
    some, kind = of_channels({"v1": "a", "v3": "a"}), sentences.kind_of()
    compare(store, kind, some, tmp_path)
    assert found(store, some) == {}
    compare(store, kind, of_channels(channels), tmp_path)
    assert found(store, of_channels(channels)) == {f"v{i}.0": "v0.0" for i in range(1, 6)}
    assert found(store, some) == {}, "what repeats among some videos does not depend on what else was compared"


def test_rows_that_are_gone_are_missed_and_not_taken_for_none(tmp_path: Path) -> None:
    store, videos = Store(str(tmp_path / "out")), of_channels({"v0": "a"})
    commit(store, [("v0", 0, "a sentence that everybody says")], 0)
    (stage,) = next(Comparing(store, sentences.kind_of()).batches(videos))
    store.uncommit("clips", *store.committed("clips"))

    with pytest.raises(DamagedFile, match=r"clips: the rows of 1 units are gone, such as .*--redo"):
        stage.process(next(iter(stage.units(store))), Context(store, tmp_path, 0.0))
