"""Copies are found, others are not; a channel's opening is told from a re-upload; texts count where they are wanted."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdvila_testing.plans import find_duplicates
from hdvila_testing.rows import commit_rows
from manifests.reasons import Reason
from manifests.schema import TABLES
from pipeline.engine.store.store import Store
from pipeline.likeness.pictures import COLUMNS
from pipeline.likeness.same import LIKENESS, Likeness
from pipeline.media.phash import (
    BUT_BEGIN,
    BUT_END,
    MIDDLE,
    N_HASHES,
    NOTHING,
    WHOLE,
    mirrored_pictures,
    pack_hashes,
)


def pictures(seed: int, count: int = 6) -> list[tuple[int, ...]]:
    """Hashes of a shot after shot: random, so far apart."""
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(1, 2**63, N_HASHES).tolist()) for _ in range(count)]


def copied(hashes: list[tuple[int, ...]], n_bits: int, seed: int = 0) -> list[tuple[int, ...]]:
    """The hashes of a copy: a few bits of each differ."""
    rng = np.random.default_rng(seed)

    def flip(value: int) -> int:
        for bit in rng.choice(64, n_bits, replace=False):
            value ^= 1 << int(bit)
        return value

    return [tuple(map(flip, picture)) for picture in hashes]


def packs(rows: list[tuple[str, str, list[tuple[int, ...]]]]) -> pa.Table:
    """Rows of (clip id, channel, hashes) as table `packs` has them."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": clip,
                "video_id": clip.rpartition(".")[0],
                "n": int(clip.rpartition(".")[2]),
                "channel_id": channel,
                "status": "success",
                "phashes": pack_hashes(hashes),
            }
            for clip, channel, hashes in rows
        ],
        schema=pa.schema(
            [(name, {"phashes": pa.binary(), "n": pa.int32()}.get(name, pa.string())) for name in COLUMNS],
        ),
    )


def test_a_re_upload_is_a_repeated_video() -> None:
    ours = [(f"a.{n}", "one", pictures(n)) for n in range(4)]
    theirs = [(f"b.{n}", "two", copied(pictures(n), 5, n)) for n in range(4)]
    other = [(f"c.{n}", "two", pictures(50 + n)) for n in range(4)]
    assert find_duplicates(packs(ours + theirs + other)) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


def test_one_clip_taken_over_is_a_repeated_clip() -> None:
    ours = [(f"a.{n}", "one", pictures(n)) for n in range(8)]
    theirs = [("b.0", "two", copied(pictures(3), 4))] + [(f"b.{n}", "two", pictures(70 + n)) for n in range(1, 8)]
    assert find_duplicates(packs(ours + theirs)) == {Reason.DUPLICATE_CLIP: {"b.0": "a.3"}}


def test_a_mirrored_re_upload_is_a_repeated_video() -> None:
    ours = [(f"a.{n}", "one", pictures(n)) for n in range(4)]
    turned = [[tuple(p) for p in mirrored_pictures(np.array(pictures(n), np.uint64)).tolist()] for n in range(4)]
    theirs = [(f"b.{n}", "two", copied(turned[n], 5, n)) for n in range(4)]
    assert find_duplicates(packs(ours + theirs)) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


@pytest.mark.parametrize("part", range(N_HASHES))
def test_a_copy_of_which_one_part_is_unchanged_is_found(part: int) -> None:
    shows = WHOLE if part in (MIDDLE, BUT_BEGIN, BUT_END) else part  # a crop shows all of what is left there

    def altered(n: int) -> list[tuple[int, ...]]:
        others = pictures(200 + n)
        return [(*o[:shows], p[part], *o[shows + 1 :]) for p, o in zip(pictures(n), others, strict=True)]

    ours = [(f"a.{n}", "one", pictures(n)) for n in range(4)]
    theirs = [(f"b.{n}", "two", copied(altered(n), 5, n)) for n in range(4)]
    assert find_duplicates(packs(ours + theirs)) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}
    first = packs([(clip.replace("b", "0"), channel, shown) for clip, channel, shown in theirs])
    assert find_duplicates(pa.concat_tables([first, packs(ours)])) == {Reason.DUPLICATE_VIDEO: {"a": "0"}}


def test_parts_that_show_nothing_are_no_likeness() -> None:
    def dark(seed: int) -> list[tuple[int, ...]]:
        return [(*picture[:2], *[NOTHING] * (N_HASHES - 2)) for picture in pictures(seed)]

    assert find_duplicates(packs([("a.0", "one", dark(1)), ("b.0", "two", dark(2))])) == {}


def test_the_opening_of_every_video_of_a_channel_is_a_stock_intro() -> None:
    rows = []
    for i, video in enumerate("abcd"):
        rows.append((f"{video}.0", "news", copied(pictures(99), 3, i)))
        rows += [(f"{video}.{n}", "news", pictures(100 * (i + 1) + n)) for n in range(1, 8)]
    found = find_duplicates(packs(rows))
    assert found == {Reason.STOCK_INTRO: {"b.0": "a.0", "c.0": "a.0", "d.0": "a.0"}}


def test_a_clip_that_shows_one_picture_is_never_a_repeat() -> None:
    slide = pictures(1, 1)[0]
    rows = [(f"a.{n}", "one", [slide] * 8) for n in range(6)]
    assert find_duplicates(packs(rows)) == {}


def test_clips_with_fewer_pictures_than_are_asked_for_are_never_repeats() -> None:
    strict = Likeness(min_frames=5)
    rows = packs([("a.0", "one", pictures(1, 4)), ("b.0", "two", copied(pictures(1, 4), 3))])
    assert find_duplicates(rows) and find_duplicates(rows, strict) == {}


def test_failed_clips_give_nothing() -> None:
    rows = packs([("a.0", "one", pictures(1)), ("b.0", "two", pictures(1))])
    assert find_duplicates(rows)
    failed = rows.set_column(rows.schema.get_field_index("status"), "status", pa.array(["success", "failed"]))
    assert find_duplicates(failed) == {}
    assert find_duplicates(packs([])) == {}


@given(st.integers(0, 2**32), st.integers(2, 10), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_copies_within_five_bits_are_found_and_strangers_are_not(seed: int, count: int, n_bits: int) -> None:
    shown = pictures(seed, max(count, LIKENESS.min_frames))
    rows: list[Any] = [("a.0", "one", shown), ("b.0", "two", copied(shown, n_bits, seed + 1))]
    rows += [("c.0", "three", pictures(seed + 7, 6))]
    found = find_duplicates(packs(rows))
    assert found == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


def alike_in(part: int, seed: int) -> list[tuple[int, ...]]:
    """Six pictures that differ, but not in one part: what a logo makes of them."""
    return [(*picture[:part], 1 << 40, *picture[part + 1 :]) for picture in pictures(seed)]


def test_a_copy_of_pictures_that_a_logo_makes_alike_as_a_whole_is_found() -> None:
    rows = [("a.0", "one", pictures(1)), ("b.0", "two", copied(alike_in(WHOLE, 1), 3))]
    assert find_duplicates(packs(rows)) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


@pytest.mark.parametrize("part", range(N_HASHES))
def test_strangers_that_one_logo_makes_alike_in_a_part_are_not_the_same(part: int) -> None:
    rows = [("a.0", "one", alike_in(part, 1)), ("b.0", "two", copied(alike_in(part, 2), 2))]
    assert find_duplicates(packs(rows)) == {}


# kept in a store, from plan to plan

Row = tuple[str, str, list[tuple[int, ...]]]


def commit(store: Store, rows: list[Row]) -> None:
    """Rows of clips as the media stage commits them, a unit a video."""
    blank = {field.name: _nothing(field.type) for field in TABLES["packs"]}
    table = packs(rows).to_pylist()
    for video in dict.fromkeys(row["video_id"] for row in table):
        own = [blank | row | {"n": int(row["clip_id"].rpartition(".")[2])} for row in table if row["video_id"] == video]
        commit_rows(store, "media", video, {"packs": own})


def _nothing(kind: pa.DataType) -> Any:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return 0
    return [] if pa.types.is_list(kind) else b"" if pa.types.is_binary(kind) else ""
