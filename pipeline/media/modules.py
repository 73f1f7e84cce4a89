"""The modules of a folder that is a registry: what lies in it is part of the program, without a list to add it to."""

import importlib
import pkgutil
from types import ModuleType


def modules_of(package: str) -> list[ModuleType]:
    """Every module directly inside a package, by name."""
    path = importlib.import_module(package).__path__
    return [importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path)]
