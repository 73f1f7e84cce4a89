"""The 15 categories: ids and names as YouTube has them, HD-VILA-100M's shares, seed queries (categories.yaml)."""

import html
from dataclasses import dataclass
from functools import cache
from importlib import resources

UNCATEGORISED_ID = -1
UNCATEGORISED = "uncategorised"


@dataclass(frozen=True, slots=True)
class Category:
    """One upload category. Shares are percentages of HD-VILA-100M's videos and clips."""

    id: int
    name: str
    hd_vila_videos: float
    hd_vila_clips: float
    queries: tuple[str, ...]


@cache
def load_categories() -> tuple[Category, ...]:
    """The categories, sorted by id."""
    import yaml

    text = resources.files("manifests").joinpath("categories.yaml").read_text(encoding="utf-8")
    rows = yaml.safe_load(text)["categories"]
    return tuple(Category(**row | {"queries": tuple(row["queries"])}) for row in rows)


def category_by_id(category_id: int) -> Category | None:
    """The category with an id; None for `uncategorised` and for ids outside the 15."""
    return next((c for c in load_categories() if c.id == category_id), None)


def category_by_name(name: str) -> Category | None:
    """The category with a name as a site may spell it (ignoring entities, case and outer spaces)."""
    wanted = html.unescape(name).strip().casefold()
    return next((c for c in load_categories() if c.name.casefold() == wanted), None)


def category_name(category_id: int) -> str:
    """The category's name for display; `uncategorised` if the id is not among the 15."""
    category = category_by_id(category_id) if category_id != UNCATEGORISED_ID else None
    return category.name if category else UNCATEGORISED
