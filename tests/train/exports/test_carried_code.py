"""The sources in an export stand alone: they import each other and nothing else of this package."""

import ast
import sys
from pathlib import Path

from train.exports.carried_code import MODELING, write_code
from train.models.towers import Towers


def test_the_sources_import_each_other_torch_and_transformers_alone(tmp_path: Path) -> None:
    write_code(Towers, tmp_path)
    names = {path.stem for path in tmp_path.iterdir()}
    assert {MODELING, "towers", "hybrid", "resnet", "bert"} <= names
    outside = set()
    for path in tmp_path.iterdir():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module in names
            elif isinstance(node, ast.ImportFrom | ast.Import):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                outside |= {module.partition(".")[0] for module in modules}
    assert outside - sys.stdlib_module_names == {"torch", "transformers"}
