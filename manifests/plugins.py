"""Steps that other installed packages bring, by entry point. Only those that a configuration names are imported.

    [project.entry-points."hdvila.checks"]
    too_green = "greenery:TOO_GREEN"

The groups are checks, members, sources and stages of the pipeline, and models, objectives and views of the trainer. A
step's settings become keys of a section of the configuration, so that they are part of what made a data set, together
with the package's version.
"""

import difflib
import importlib.util
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from manifests.errors import UserError
from manifests.retired import is_retired_name
from manifests.settings import Section
from manifests.version import hash_of_source

_BY_HAND: dict[tuple[str, str], Any] = {}
_CANNOT_LOAD: tuple[type[Exception], ...] = (ImportError, SyntaxError, NameError, AttributeError, LookupError, OSError)
_CANNOT_LOAD += (RuntimeError, ArithmeticError, AssertionError, TypeError, ValueError)


class Used(NamedTuple):
    """A step that a configuration uses: where it comes from, and a hash of its package's Python files."""

    group: str
    name: str
    package: str
    source: str


def register(group: str, name: str, step: Any) -> None:
    """Adds a step to this process, as an entry point of an installed package would: for notebooks and tests.

    A cluster's workers know only installed packages.
    """
    _BY_HAND[group, name] = step


def names_in(group: str) -> frozenset[str]:
    """The names of the steps that others bring to a group; nothing is imported."""
    return frozenset(_points(group)) | {name for of_group, name in _BY_HAND if of_group == group}


def package_of(group: str, name: str) -> str:
    """The package that brings a step, with its version: "greenery 1.2"."""
    if (group, name) in _BY_HAND:
        return "registered by hand"
    return " and ".join(_label(point) for point in _points(group)[name])


def load(group: str, name: str) -> Any:
    """Imports a step. Raises UserError if its package is broken, or if two packages bring the same name."""
    return _BY_HAND[group, name] if (group, name) in _BY_HAND else _imported(group, name)


@cache
def _imported(group: str, name: str) -> Any:
    points, package = _points(group)[name], package_of(group, name)
    if len(points) > 1:
        raise UserError(f"{package} both bring {name} to {group}; uninstall one of them, or ask for another name")
    try:
        return points[0].load()
    except _CANNOT_LOAD as error:
        raise UserError(
            f"{name} of {group}: {package} cannot be loaded ({type(error).__name__}: {error}); mend or update that "
            f"package, or leave {name} out of the configuration"
        ) from error


def refuse_clashes(group: str, own: Collection[str]) -> None:
    """Raises UserError if a package brings a name that this program has itself."""
    if both := sorted(names_in(group) & set(own)):
        raise UserError(
            f"{package_of(group, both[0])} brings {both[0]} to {group}, a name that hdvila has itself; uninstall that "
            "package, or ask for another name"
        )


def used_by(config: BaseModel) -> tuple[Used, ...]:
    """The steps of other packages that a configuration names, for another machine to compare with what it has."""
    sections = (getattr(config, name) for name in type(config).model_fields)
    inner = [step for section in sections if isinstance(section, BaseModel) for step in used_by(section)]
    return (*getattr(config, "used", ()), *inner)


def unlike_here(needed: Collection[Used]) -> str:
    """How the packages here differ from those that another machine uses; "" if they are the same."""
    for step in needed:
        points = _points(step.group).get(step.name, ())
        here = " and ".join(map(_label, points)) or "nothing"
        if here != step.package or _source_of(points[0].module) != step.source:
            same = "other source of " * (here == step.package)
            return f"has {same}{here} for {step.name} of {step.group}, the driver {step.package}"
    return ""


def _used(group: str, name: str) -> Used:
    is_installed = (group, name) not in _BY_HAND
    source = _source_of(_points(group)[name][0].module) if is_installed else ""
    return Used(group, name, package_of(group, name), source)


@cache
def _points(group: str) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    points: dict[str, tuple[metadata.EntryPoint, ...]] = {}
    for point in metadata.entry_points(group=f"hdvila.{group}"):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


def _label(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


@cache
def _source_of(module: str) -> str:
    """12 hex digits of the Python files of a module's package; "" if they cannot be read."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or not spec.origin:
        return ""
    home = Path(spec.origin)
    return hash_of_source(home.parent, home.parent.rglob("*.py") if spec.submodule_search_locations else [home])


SettingsOf = Callable[[str, Any], type[Section]]
"""(name, step) -> the keys that a step adds to the section of its group."""


@dataclass(frozen=True, slots=True)
class WithPlugins:
    """Parses a section to which other packages add keys: those that the given tree names. For a BeforeValidator."""

    base: type[Section]
    group: str
    settings_of: SettingsOf

    def __call__(self, given: Any) -> Any:
        """The section, if it names such a step; anything else is returned as it is. ValueError for what nobody has."""
        if not isinstance(given, Mapping) or given.keys() <= self.base.model_fields.keys():
            return given
        names = tuple(sorted(name for name in given if name in names_in(self.group)))
        if names:
            return _section(self, names).model_validate(dict(given))
        unknown = next(str(name) for name in given if name not in self.base.model_fields)
        if is_retired_name(unknown) or difflib.get_close_matches(unknown, self.base.model_fields, n=1):
            return given  # a slip, which is answered like any other
        raise ValueError(f"there is no {unknown}, and no installed package brings it (hdvila.{self.group})")


@cache
def _section(parse: WithPlugins, names: tuple[str, ...]) -> type[Section]:
    refuse_clashes(parse.group, parse.base.model_fields)
    owners = dict.fromkeys(parse.base.model_fields, "hdvila")
    added: list[type[Section]] = []
    for name in names:
        step, package = load(parse.group, name), package_of(parse.group, name)
        try:
            keys = parse.settings_of(name, step)
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f"{name} of {parse.group}: {package} brings something else ({error})") from error
        for key in keys.model_fields:
            if key in owners:
                raise UserError(f"{name} of {parse.group}: {package} brings the key {key}, which {owners[key]} has too")
            owners[key] = package
        added.append(keys)

    def reduce(section: Section) -> tuple[Any, ...]:  # pickle finds no class that was made here
        return parse, (section.model_dump(exclude_unset=True),)

    used = tuple(_used(parse.group, name) for name in names)
    packages = {step.name: step.package for step in used}
    facts: dict[str, Any] = {"__module__": __name__, "__doc__": parse.base.__doc__, "__reduce__": reduce}
    facts |= {"packages": packages, "used": used}
    return type(parse.base.__name__, (*reversed(added), parse.base), facts)
