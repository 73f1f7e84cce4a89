"""What things cost, as measured: costs.json, read here and rewritten by `python -m bench.costs`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True, slots=True)
class Cost:
    """A number with its unit and where it comes from: the command that measured it, a publication, or an assumption.

    `each`: the single measurements where the number is their mean, from the least to the most.
    """

    value: float
    unit: str
    source: str
    each: tuple[float, ...] = ()

    def document(self) -> dict[str, object]:
        """As it stands in the file."""
        return {name: value for name, value in asdict(self).items() if value != ()}


def read_costs() -> dict[str, Cost]:
    """Every cost by its name."""
    found = json.loads(FILE.read_bytes())
    return {name: Cost(**{**facts, "each": tuple(facts.get("each", ()))}) for name, facts in found.items()}
