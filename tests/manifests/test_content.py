"""A film is known again by its content, at the price of three pieces where it is large."""

import hashlib
from pathlib import Path

import pytest

from manifests.content import PIECE_BYTES, SAMPLED, WHOLE_BYTES, content_hash


def test_a_small_file_has_the_hash_that_sha256sum_prints(tmp_path: Path) -> None:
    file = tmp_path / "film"
    file.write_bytes(b"film")

    with file.open("rb") as opened:
        opened.read(2)  # wherever its reader stands
        assert content_hash(opened) == hashlib.sha256(b"film").hexdigest()


@pytest.mark.parametrize("at", [0, (WHOLE_BYTES + PIECE_BYTES) // 2, WHOLE_BYTES + PIECE_BYTES - 1, "longer"])
def test_a_large_file_is_known_by_its_size_head_middle_and_tail(tmp_path: Path, at: int | str) -> None:
    file = tmp_path / "film"
    with file.open("wb") as made:
        made.truncate(WHOLE_BYTES + PIECE_BYTES)
    with file.open("rb") as opened:
        before = content_hash(opened)

    with file.open("r+b") as changed:
        changed.seek(0, 2) if isinstance(at, str) else changed.seek(at)
        changed.write(b"x")
    with file.open("rb") as opened:
        after = content_hash(opened)

    assert before.startswith(SAMPLED) and after != before
