"""Units that each process a part of a table: named after it, and found again by the name."""

import re
from collections.abc import Collection, Iterable, Sequence

from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import Unit, name_over

HASHED = re.compile(r"-[0-9a-f]{32}$")
"""The end of a name that `name_over` shortened."""


class OverParts:
    """What stages have in common that have a unit for each part of a table (`unit.PerPart`)."""

    __slots__ = ()

    @property
    def over(self) -> str:
        """The table, as in `Store.parts`."""
        raise NotImplementedError

    def units(self, store: Store) -> Iterable[Unit]:
        """The units of all parts. A run asks for those of new parts alone."""
        return self.units_of(store, store.parts(self.over))

    def unit_name(self, part: Part) -> str:
        """The name of the unit of a part."""
        return name_over(part.stage, part.unit)

    def units_of(self, store: Store, parts: Sequence[Part]) -> Iterable[Unit]:
        """The units of these parts."""
        return (Unit(self.unit_name(part), part=part) for part in parts)


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


def part_of(unit: Unit) -> Part:
    """The part that such a unit processes."""
    assert unit.part is not None
    return unit.part


def ids_of(unit: Unit, store: Store) -> tuple[str, ...]:
    """The videos that a unit covers, or its name if it covers none."""
    if unit.part is None:
        return unit.ids or (unit.name,)
    ids = set(store.read_part(unit.part, ["video_id"]).column("video_id").to_pylist())
    return tuple(sorted(ids)) or (unit.name,)
