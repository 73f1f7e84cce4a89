"""Names that were taken up: what is among them, and how little of them is kept."""

import random
import tracemalloc

import numpy as np
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


@pytest.mark.parametrize("at_once", [True, False])
def test_a_name_is_kept_in_eight_bytes_and_not_all_are_sorted_for_each(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    sorts, sort = [], np.union1d
    monkeypatch.setattr(np, "union1d", lambda *of: sorts.append(1) or sort(*of))
    n = 2 * names.RECENT
    tracemalloc.start()
    try:
        if at_once:
            found = Names(f"transcripts-extract-00000-{i:016x}" for i in range(n))
        else:
            found = Names()
            for i in range(n):
                found.add(f"transcripts-extract-00000-{i:016x}")
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(found) == n and kept_bytes < 9 * n + 20_000
    assert len(sorts) == (1 if at_once else 3)
