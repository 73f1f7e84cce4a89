"""Measured costs of a run: costs.json, read here and rewritten by `python -m bench.costs`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True, slots=True)
class Cost:
    """A number with its unit and its source: the command that measured it, a publication, or an assumption.

    `each`: the single measurements, ascending, if the number is their mean.
    """

    value: float
    unit: str
    source: str
    each: tuple[float, ...] = ()

    def document(self) -> dict[str, object]:
        """The cost in the form of costs.json."""
        return {name: value for name, value in asdict(self).items() if value != ()}


def read_costs() -> dict[str, Cost]:
    """Every cost, by name."""
    costs = json.loads(FILE.read_bytes())
    return {name: Cost(**{**facts, "each": tuple(facts.get("each", ()))}) for name, facts in costs.items()}
