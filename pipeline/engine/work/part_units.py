"""Units named after the parts that they process, found again by their names."""

import re
from collections.abc import Collection

from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import name_over

HASHED = re.compile(r"-[0-9a-f]{32}$")
"""The end of a name that `name_over` shortened."""


def parts_processed(store: Store, table: str, names: Collection[str]) -> dict[str, Part]:
    """{name: the part of a table that the unit of this name processes, or that has the name itself}, if there is one.

    Other parts are not walked, unless a name is too long to hold that of its part (`name_over`).
    """
    if not names:
        return {}
    asked = {name[i:] for name in names for i in (0, *(at + 1 for at, letter in enumerate(name) if letter == "-"))}
    found = _by_name(store.parts_of(table, asked).values())
    if any(name not in found and HASHED.search(name) for name in names):
        found = _by_name(store.parts(table))
    return {name: found[name] for name in names if name in found}


def _by_name(parts: Collection[Part]) -> dict[str, Part]:
    return {name_over(part.stage, part.unit): part for part in parts} | {part.unit: part for part in parts}
