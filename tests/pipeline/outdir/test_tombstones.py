"""Tombstones: by id, by the id of origin, or by address; written sorted, read back, refused where they are neither."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import (
    TOMBSTONES,
    Tombstones,
    read_tombstones,
    refuse_while_under_way,
    write_tombstones,
)

ID = "dQw4w9WgXcQ"
URLS = ("https://vimeo.com/76979871", "https://youtube.com/somename", "https://youtube.com/watch?v=short")
MANY = Tombstones(frozenset({ID, "b"}), frozenset({"UCx"}), True, frozenset(URLS))


def test_what_is_written_is_read_back_and_its_order_is_that_of_the_words(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_tombstones(store) == Tombstones()
    write_tombstones(store, MANY)

    assert read_tombstones(store) == MANY
    lines = store.read(TOMBSTONES).decode().splitlines()
    assert lines[1:-1] == sorted(lines[1:-1]) and lines[0].startswith("#")
    with pytest.raises(UserError, match="interrupted"):
        refuse_while_under_way(store, MANY)


def test_what_a_file_that_was_cut_short_named_stays_out_by_its_copy(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_tombstones(store, MANY)
    data = store.read(TOMBSTONES)

    for end in (0, *(at + 1 for at, byte in enumerate(data[:-1]) if byte == ord("\n"))):
        store.write(TOMBSTONES, data[:end])
        found = read_tombstones(store)
        assert found.videos >= MANY.videos and found.urls >= MANY.urls and found.channels >= MANY.channels


def test_a_video_stays_out_by_its_id_its_channel_its_origin_or_its_address() -> None:
    assert MANY.cover(ID, "") and MANY.cover("other", "UCx")
    assert MANY.cover("renamed", "", f"https://www.youtube.com/watch?v={ID}")
    assert MANY.cover("renamed", "", "https://vimeo.com/76979871")
    assert not MANY.cover("renamed", "UCy", "https://vimeo.com/1")
    assert Tombstones().joined(MANY) == MANY


def test_a_line_that_is_neither_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(TOMBSTONES, b"vidoe abc\n")
    with pytest.raises(UserError, match="vidoe abc"):
        read_tombstones(store)
