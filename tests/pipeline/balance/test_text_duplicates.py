"""Sentences that a channel repeats."""

import pyarrow as pa

from pipeline.balance.groups import groups_of
from pipeline.balance.text_duplicates import Sentences
from pipeline.config.balance import TextDuplicatesConfig

CONFIG = TextDuplicatesConfig()


def repeated(parts: list[pa.Table], videos: pa.Table) -> dict[str, str]:
    sentences = Sentences(CONFIG)
    for part in parts:
        sentences.add(part)
    return sentences.repeats(videos)


def clips(rows: list[tuple[str, int, str]]) -> pa.Table:
    return pa.table(dict(zip(("video_id", "n", "text"), map(list, zip(*rows, strict=True)), strict=True)))


def test_a_sentence_that_a_channel_repeats_counts_once() -> None:
    greeting = ["Hello and welcome back!", "hello, and WELCOME back", "Hello — and welcome back…"]
    rows = [(f"v{i}", 2, text) for i, text in enumerate(greeting)]
    rows += [("x0", 0, "Hello and welcome back!"), ("v0", 5, "Something said only once here.")]
    rows += [(f"v{i}", 3, "Thank you.") for i in range(3)]
    channels = {"v0": "a", "v1": "a", "v2": "a", "x0": "b"}
    videos = pa.table({"video_id": list(channels), "channel_id": list(channels.values())})
    assert repeated([clips(rows)], videos) == {"v1.2": "v0.2", "v2.2": "v0.2"}


def test_parts_of_the_table_are_compared_with_each_other_and_one_video_with_itself_is_no_repeat() -> None:
    text = "This sentence stands in three parts."
    channels = {"v0": "a", "v1": "a", "v2": "a", "w": "b", "u0": "", "u1": "", "u2": ""}
    videos = pa.table({"video_id": list(channels), "channel_id": list(channels.values())})
    parts = [clips([(v, 0, text)]) for v in channels] + [clips([("w", n, text) for n in range(1, 4)])]
    assert repeated(parts, videos) == {"v1.0": "v0.0", "v2.0": "v0.0"}
    assert repeated([], videos) == {}


def test_pairs_connect_into_groups() -> None:
    pairs = [("c", "d"), ("a", "b"), ("b", "c"), ("x", "y")]
    assert list(groups_of(pairs)) == [["a", "b", "c", "d"], ["x", "y"]]
