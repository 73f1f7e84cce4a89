"""Names that were taken up: what is among them, and how little of them is kept."""

import random
import sys

import pytest

from pipeline.engine.run import name_set as names
from pipeline.engine.run.name_set import Names


def test_what_was_given_or_added_is_among_them_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "RECENT", 7)
    rng, known = random.Random(5), {"a", "b"}
    found, most_apart = Names(known), 0
    for _ in range(500):
        name = f"unit{rng.randrange(200)}"
        assert (name in found) == (name in known)
        found.add(name)
        known.add(name)
        assert len(found) == len(known) and len(found._recent) < 7, "few are kept as larger objects"
        most_apart = max(most_apart, len(found._recent))
    assert most_apart == 6, "not all are sorted for each one"
    assert all(name in found for name in known) and "unit200" not in found


def test_a_name_is_kept_in_eight_bytes() -> None:
    found = Names(f"transcripts-extract-00000-{n:016x}" for n in range(20_000))

    assert len(found) == 20_000
    assert sys.getsizeof(found._ordered) + sys.getsizeof(found._recent) < 9 * 20_000
