"""Sentences that a channel repeats, however clips come."""

import random
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.schema import CLIPS
from pipeline.engine.store.store import Store
from pipeline.likeness import compared, sentences
from pipeline.likeness.index import AlikeIndex
from pipeline.likeness.sentences import SAID_AGAIN, Sentences
from tests.pipeline.engine.merges import merge_all

Said = list[tuple[str, int, str]]
"""(video_id, number, text) of clips."""


def clips(rows: Said) -> pa.Table:
    schema = pa.schema([("video_id", pa.string()), ("n", pa.int64()), ("text", pa.string())])
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def of_channels(channels: dict[str, str]) -> pa.Table:
    ids, names = pa.array(list(channels), pa.string()), pa.array(list(channels.values()), pa.string())
    return pa.table({"video_id": ids, "channel_id": names})


def repeated(folder: Path, parts: list[Said], channels: dict[str, str]) -> dict[str, str]:
    one = Sentences(Store(str(folder)))
    for part in parts:
        one.compared.add(clips(part))
    return one.find_repeats(of_channels(channels))


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
    blank = {f.name: [] if pa.types.is_list(f.type) else "" if pa.types.is_string(f.type) else 0 for f in CLIPS}
    whole = [blank | row | {"clip_id": f"{row['video_id']}.{row['n']}"} for row in clips(rows).to_pylist()]
    path = store.write_part("clips", "clips", f"u{number}", whole, "t")
    facts = {"rows": {"clips": len(whole)}, "rejects": {}, "parts": {"clips": path}}
    store.commit_all("clips", {f"u{number}": facts})


@pytest.mark.parametrize("seed", range(3))
def test_new_against_old_finds_the_same_in_whatever_order_clips_come_merged_or_after_a_restart(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "AT_A_TIME", 20)
    monkeypatch.setattr(compared, "MOST_WAITING", 100)
    draw, store = random.Random(seed), Store(str(tmp_path))
    lines = [f"this is the line of number {i}" for i in range(30)] + ["too short", "x"]
    ids = [f"v{i:02d}" for i in range(40)]
    channels = {video_id: draw.choice(["a", "b", "c", ""]) for video_id in ids}
    said = {video_id: [(video_id, n, draw.choice(lines)) for n in range(draw.randint(1, 9))] for video_id in ids}
    videos = of_channels(channels).append_column("round", pa.array([i // 20 for i in range(40)]))
    came = draw.sample(ids, 40)
    kept = Sentences(store)
    for number, begin in enumerate(range(0, 40, 10)):
        commit(store, [row for video_id in came[begin : begin + 10] for row in said[video_id]], number)
        if draw.random() < 0.5:
            merge_all(store)
        if draw.random() < 0.4:
            kept = Sentences(store)
        here = [row for video_id in came[: begin + 10] for row in said[video_id]]
        for some in (videos.slice(0, 20), videos):
            names = set(some.column("video_id").to_pylist())
            of_some = {video_id: channels[video_id] for video_id in names}
            assert kept.find_repeats(some, videos) == by_the_rule(here, of_some)
    assert len(kept.find_repeats(videos)) > 9
    monkeypatch.setattr(AlikeIndex, "add", lambda *_: pytest.fail("sentences were compared again"))
    assert Sentences(Store(store.url)).find_repeats(videos) == kept.find_repeats(videos)
