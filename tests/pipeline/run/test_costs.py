"""What a clip costs: each number with its unit and its origin."""

import json
from pathlib import Path

import pytest

from pipeline.run.costs import FILE, read_costs

REPO = Path(__file__).resolve().parents[3]


def test_every_cost_says_its_unit_and_where_it_comes_from() -> None:
    benches, publishers = ("python -m bench.", "git show "), ("HD-VILA-100M as", "yt-dlp's source", "YouTube's doc")
    kinds = (*benches, *publishers, "assumed: ")
    for name, cost in read_costs().items():
        assert cost.value > 0 and cost.unit and cost.source.startswith(kinds), name
        if cost.source.startswith("python"):
            module = cost.source.split()[2].replace(".", "/")
            assert (REPO / f"{module}.py").is_file(), name
        if cost.each:
            assert cost.value == pytest.approx(sum(cost.each) / len(cost.each), rel=0.01), name
            assert list(cost.each) == sorted(cost.each), name
    keys = {frozenset(facts) - {"each"} for facts in json.loads(FILE.read_bytes()).values()}
    assert keys == {frozenset({"value", "unit", "source"})}
