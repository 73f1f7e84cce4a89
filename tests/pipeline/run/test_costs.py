"""What a clip costs: each number with its unit and its origin."""

import json
from pathlib import Path

from pipeline.run.costs import FILE, read_costs

REPO = Path(__file__).resolve().parents[3]


def test_every_cost_says_its_unit_and_where_it_comes_from() -> None:
    kinds = ("python -m bench.", "HD-VILA-100M as published", "assumed: ", "yt-dlp's source")
    for name, cost in read_costs().items():
        assert cost.value > 0 and cost.unit and cost.source.startswith(kinds), name
        if cost.source.startswith("python"):
            module = cost.source.split()[2].replace(".", "/")
            assert (REPO / f"{module}.py").is_file(), name
    assert all(set(facts) == {"value", "unit", "source"} for facts in json.loads(FILE.read_bytes()).values())
