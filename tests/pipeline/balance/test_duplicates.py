"""Copies are found, others are not, and a channel's opening is told from a re-upload."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.balance.duplicates import COLUMNS, find_duplicates, shared
from pipeline.balance.shown import distinct_in
from pipeline.config.media import DuplicatesConfig
from pipeline.media.phash import mirrored, pack_hashes

CONFIG = DuplicatesConfig()


def pictures(seed: int, count: int = 6) -> list[tuple[int, int]]:
    """Hashes of a shot after shot: random, so far apart."""
    rng = np.random.default_rng(seed)
    return [tuple(int(v) for v in rng.integers(1, 2**63, 2)) for _ in range(count)]  # type: ignore[misc]


def copied(hashes: list[tuple[int, int]], n_bits: int, seed: int = 0) -> list[tuple[int, int]]:
    """The hashes of a copy: a few bits of each differ."""
    rng = np.random.default_rng(seed)

    def flip(value: int) -> int:
        for bit in rng.choice(64, n_bits, replace=False):
            value ^= 1 << int(bit)
        return value

    return [(flip(a), flip(b)) for a, b in hashes]


def packs(rows: list[tuple[str, str, list[tuple[int, int]]]]) -> pa.Table:
    """Rows of (clip id, channel, hashes) as table `packs` has them."""
    return pa.Table.from_pylist(
        [
            {
                "clip_id": clip,
                "video_id": clip.rpartition(".")[0],
                "channel_id": channel,
                "status": "success",
                "phashes": pack_hashes(hashes),
            }
            for clip, channel, hashes in rows
        ],
        schema=pa.schema(
            [(name, pa.binary() if name == "phashes" else pa.string()) for name in COLUMNS],
        ),
    )


def test_a_re_upload_is_a_repeated_video() -> None:
    mine = [(f"a.{n}", "one", pictures(n)) for n in range(4)]
    theirs = [(f"b.{n}", "two", copied(pictures(n), 5, n)) for n in range(4)]
    other = [(f"c.{n}", "two", pictures(50 + n)) for n in range(4)]
    assert find_duplicates(packs(mine + theirs + other), CONFIG) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


def test_one_clip_taken_over_is_a_repeated_clip() -> None:
    mine = [(f"a.{n}", "one", pictures(n)) for n in range(8)]
    theirs = [("b.0", "two", copied(pictures(3), 4))] + [(f"b.{n}", "two", pictures(70 + n)) for n in range(1, 8)]
    assert find_duplicates(packs(mine + theirs), CONFIG) == {Reason.DUPLICATE_CLIP: {"b.0": "a.3"}}


def test_a_mirrored_re_upload_is_a_repeated_video() -> None:
    mine = [(f"a.{n}", "one", pictures(n)) for n in range(4)]
    turned = [[tuple(int(v) for v in mirrored(np.array(pair, np.uint64))) for pair in pictures(n)] for n in range(4)]
    theirs = [(f"b.{n}", "two", copied(turned[n], 5, n)) for n in range(4)]  # type: ignore[arg-type]
    assert find_duplicates(packs(mine + theirs), CONFIG) == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


def test_the_opening_of_every_video_of_a_channel_is_a_stock_intro() -> None:
    rows = []
    for i, video in enumerate("abcd"):
        rows.append((f"{video}.0", "news", copied(pictures(99), 3, i)))
        rows += [(f"{video}.{n}", "news", pictures(100 * (i + 1) + n)) for n in range(1, 8)]
    found = find_duplicates(packs(rows), CONFIG)
    assert found == {Reason.STOCK_INTRO: {"b.0": "a.0", "c.0": "a.0", "d.0": "a.0"}}


def test_a_clip_that_shows_one_picture_is_never_a_repeat() -> None:
    slide = pictures(1, 1)[0]
    rows = [(f"a.{n}", "one", [slide] * 8) for n in range(6)]
    assert find_duplicates(packs(rows), CONFIG) == {}


def test_failed_clips_and_a_switched_off_search_give_nothing() -> None:
    rows = packs([("a.0", "one", pictures(1)), ("b.0", "two", pictures(1))])
    assert find_duplicates(rows, CONFIG)
    assert find_duplicates(rows, DuplicatesConfig(enabled=False)) == {}
    failed = rows.set_column(rows.schema.get_field_index("status"), "status", pa.array(["success", "failed"]))
    assert find_duplicates(failed, CONFIG) == {}
    assert find_duplicates(packs([]), CONFIG) == {}


@given(st.integers(0, 2**32), st.integers(2, 10), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_copies_within_five_bits_are_found_and_strangers_are_not(seed: int, count: int, n_bits: int) -> None:
    shown = pictures(seed, max(count, CONFIG.min_frames))
    rows: list[Any] = [("a.0", "one", shown), ("b.0", "two", copied(shown, n_bits, seed + 1))]
    rows += [("c.0", "three", pictures(seed + 7, 6))]
    found = find_duplicates(packs(rows), CONFIG)
    assert found == {Reason.DUPLICATE_VIDEO: {"b": "a"}}


def test_sharing_counts_the_pictures_of_the_shorter_and_one_is_chance() -> None:
    a = np.array(pictures(1, 6), np.uint64)
    assert shared(a, a[:3], 10) == 1.0
    assert shared(a, np.concatenate([a[:1], np.array(pictures(2, 5), np.uint64)]), 10) == 0.0
    assert distinct_in(np.concatenate([a, a])[:, 0], np.array([12]), 10).sum() == 6
