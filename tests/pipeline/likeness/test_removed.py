"""A removed video's signatures find its copies when its rows are gone, and tell nothing of its pictures or words."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hdvila_testing.rows import commit_rows
from manifests.schema import TABLES
from pipeline.engine.store.store import Store
from pipeline.likeness.removed import Alike, Returned, read_signatures, signatures_of, write_signatures
from pipeline.media.phash import N_HASHES, pack_hashes

PICTURES = [0x1234567890ABCDEF + 977 * n for n in range(10)]
WORDS = list(range(1000, 1064))


def commit(store: Store, table: str, stage: str, **facts: Any) -> None:
    blank = {field.name: _blank(field.type) for field in TABLES[table]}
    commit_rows(store, stage, facts["video_id"], {table: [{**blank, **facts}]})


def _blank(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return pa.scalar("" if pa.types.is_string(kind) or pa.types.is_binary(kind) else False).cast(kind).as_py()


def shows(store: Store, video_id: str, hashes: list[int]) -> None:
    commit(store, "packs", "media", video_id=video_id, phashes=pack_hashes([(it,) * N_HASHES for it in hashes]))


def says(store: Store, video_id: str, words: list[int], n_words: int = 30) -> None:
    minhash = np.array(words, "<u4").tobytes()
    commit(store, "transcripts", "transcripts", video_id=video_id, minhash=minhash, n_words=n_words)


def test_copies_are_found_by_pictures_or_words_whenever_they_come(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    shows(store, "gone", PICTURES)
    says(store, "gone", WORDS)
    write_signatures(store, [signatures_of(store, {"gone": "video gone"}, "salt")])
    shows(store, "a-part", PICTURES[:4])
    shows(store, "two-pictures", PICTURES[:2])
    says(store, "short", WORDS, n_words=5)
    returned = Returned(store)

    assert returned.among({"gone"}) == [Alike("a-part", "video gone", "pictures", 0.4)]
    says(store, "said-again", [*WORDS[:60], 1, 2, 3, 4])
    says(store, "others", WORDS[1:] + WORDS[:1])
    assert [alike.video_id for alike in returned.among({"gone"})] == ["a-part", "said-again"]


def test_pictures_that_another_version_hashed_are_passed_over(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, "packs", "media", video_id="gone", phashes=b"\x04" + bytes(range(1, 81)))
    says(store, "gone", WORDS)
    assert signatures_of(store, {"gone": "video gone"}, "salt").column("kind").to_pylist() == ["words"]


def test_what_is_kept_names_neither_pictures_nor_after_a_purge_the_video(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    shows(store, "gone", PICTURES)
    write_signatures(store, [signatures_of(store, {"gone": "video gone"}, "salt")], {"video gone": "hashed 1"})

    (row,) = read_signatures(store).to_pylist()
    assert row["tombstone"] == "hashed 1" and len(row["hashes"]) == len(PICTURES)
    assert max(row["hashes"]) < 1 << 40 and not {*row["hashes"]} & {*PICTURES}
    other = signatures_of(store, {"gone": "video gone"}, "other salt").to_pylist()[0]["hashes"]
    assert not {*other} & {*row["hashes"]}
