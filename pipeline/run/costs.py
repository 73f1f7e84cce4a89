"""What things cost, as measured: costs.json, read here and rewritten by `python -m bench.costs`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("costs.json")


@dataclass(frozen=True, slots=True)
class Cost:
    """A number with its unit and where it comes from: the command that measured it, a publication, or an assumption."""

    value: float
    unit: str
    source: str

    def document(self) -> dict[str, float | str]:
        """As it stands in the file."""
        return asdict(self)


def read_costs() -> dict[str, Cost]:
    """Every cost by its name."""
    return {name: Cost(**facts) for name, facts in json.loads(FILE.read_bytes()).items()}
