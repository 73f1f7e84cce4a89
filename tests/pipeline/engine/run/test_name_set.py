"""Names that were taken up: what is among them, and how little of them is kept."""

import random

import pytest

from pipeline.engine.run import name_set as names
from pipeline.engine.run.name_set import Names


def test_what_was_given_or_added_is_among_them_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "RECENT", 7)
    rng, known = random.Random(5), {"a", "b"}
    found = Names(known)
    for _ in range(500):
        name = f"unit{rng.randrange(200)}"
        assert (name in found) == (name in known)
        found.add(name)
        known.add(name)
        assert len(found) == len(known)
    assert all(name in found for name in known) and "unit200" not in found
