"""The sources that an export carries, so that `transformers` loads it without this package.

They are the product's own modules, copied beside each other, with their imports of each other made relative.
"""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

from torch import nn

MODELING = "modeling_hdvila"
"""The module that holds `HDVilaConfig` and `HDVilaModel`."""
AUTO_MAP = {"AutoConfig": f"{MODELING}.HDVilaConfig", "AutoModel": f"{MODELING}.HDVilaModel"}
"""config.json's `auto_map`: which classes the Auto classes of transformers make."""

OWN_IMPORT = re.compile(r"^from (train(?:\.\w+)*)\.(\w+) import", re.MULTILINE)
TOWERS_IMPORT = "from train.models.towers import Towers\n"


def write_code(towers: type[nn.Module], folder: Path) -> None:
    """Writes `modeling_hdvila.py`, which embeds by `towers`, and each module that it imports, into `folder`."""
    start = f"from {towers.__module__} import {towers.__name__} as Towers\n"
    source = _source("train.exports.auto_model").replace(TOWERS_IMPORT, start)
    written = {MODELING: ""}
    waiting = [(MODELING, source)]
    while waiting:
        name, source = waiting.pop()
        (folder / f"{name}.py").write_text(OWN_IMPORT.sub(r"from .\2 import", source), encoding="utf-8")
        for room, needed in OWN_IMPORT.findall(source):
            module = f"{room}.{needed}"
            if needed not in written:
                waiting.append((needed, _source(module)))
            assert written.setdefault(needed, module) == module, f"two modules named {needed}"


def _source(module: str) -> str:
    """A module's source, without what it imports for types alone: transformers would look for that."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    lines = Path(spec.origin).read_text(encoding="utf-8").splitlines(keepends=True)
    for node in reversed(ast.parse("".join(lines)).body):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            del lines[node.lineno - 1 : node.end_lineno]
    return "".join(lines)
