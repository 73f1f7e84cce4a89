"""The small changes that `bench.mutate` can make in the code, and which of them a seed draws."""

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.unnoticed import ALIKE, EXPLAINED, TUNING

REPO = Path(__file__).resolve().parent.parent
AREAS = {
    "engine": ["pipeline/engine"],
    "site": ["pipeline/site"],
    "text": ["pipeline/text"],
    "media": ["pipeline/media"],
    "shards": ["pipeline/shards", "manifests/shards.py", "manifests/sample_index.py"],
    "train data": ["train/data"],
    "losses": ["train/losses.py", "train/loop/objective.py", "train/objectives", "train/loop/grad_cache.py"],
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
SILENT = ("log.", "logging.", "warnings.", "self._progress.say", "print", "super().__init__")
"""Calls that only report: what they say is checked by reading, not by tests."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: the text between two offsets of a file, and its replacement."""

    area: str
    path: str
    line: int
    start: int
    end: int
    old: str
    new: str


def mutations_of(area: str, path: Path) -> list[Mutation]:
    """Every change that this program can make in a file, in the order of the text."""
    source = path.read_text()
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    raw = source.encode()
    found = []
    for node, replacement in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = raw[start:end].decode()
        name = str(path.relative_to(REPO))
        found.append(Mutation(area, name, node.lineno, start, end, old, replacement))
    return sorted(found, key=lambda m: (m.start, m.end, m.new))


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in _live_nodes(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            other = SWAPS.get(type(node.ops[0]))
            yield from [(node, _unparsed(node, ops=[other()]))] if other else []
        elif isinstance(node, ast.BinOp) and not _is_text(node):
            other = SWAPS.get(type(node.op))
            yield from [(node, f"({_unparsed(node, op=other())})")] if other else []
        elif isinstance(node, ast.BoolOp):
            yield node, f"({_unparsed(node, op=SWAPS[type(node.op)]())})"
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, str(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node, repr(node.value + 1 if abs(node.value) < 10 else node.value * 2)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, ast.unparse(node.operand)
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node.test, f"(not ({ast.unparse(node.test)}))"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if not ast.unparse(node.value.func).startswith(SILENT):
                yield node, "pass"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
            yield node.func, "max" if node.func.id == "min" else "min"


def _live_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of code that has an effect: without annotations, messages, field defaults' texts and type checks.

    Assertions are left out too, and zip's strict=True is one: it fails only if the program contradicts itself. A
    class's keywords are a TypedDict's total=False, which only the type checker reads.
    """
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in ("annotation", "returns", "decorator_list"):
                continue
            if isinstance(child, ast.Raise | ast.JoinedStr | ast.Assert) or _is_strict(child):
                continue
            if isinstance(tree, ast.ClassDef) and name == "keywords":
                continue
            if isinstance(child, ast.Call) and ast.unparse(child.func).startswith(SILENT):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            yield child
            yield from _live_nodes(child)


def _is_strict(node: ast.AST) -> bool:
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _is_text(node: ast.BinOp) -> bool:
    """Whether an operation is on texts or types, where another operator would merely crash."""
    sides = [side for side in ast.walk(node) if isinstance(side, ast.Constant | ast.JoinedStr)]
    return any(isinstance(side, ast.JoinedStr) or isinstance(side.value, str) for side in sides)


def _unparsed(node: ast.expr, **fields: object) -> str:
    values = {name: getattr(node, name) for name in node._fields} | fields
    return ast.unparse(ast.fix_missing_locations(type(node)(**values)))


def drawn(seed: int, n: int, areas: Sequence[str]) -> list[Mutation]:
    """Draws n mutations, the same for the same seed and code: from the areas in turn, longer files more often."""
    pools = {}
    for area in areas:
        files = sorted(f for path in AREAS[area] for f in _files(REPO / path))
        pool = [m for f in files for m in mutations_of(area, f)]
        random.Random(f"{seed} {area}").shuffle(pool)
        pools[area] = pool
    turns = [areas[i % len(areas)] for i in range(n)]
    return [pools[area].pop() for area in turns if pools[area]]


def explanation_of(mutation: Mutation) -> str:
    """Why no user could notice a mutation, from EXPLAINED, ALIKE or TUNING; "" for all others."""
    line = (REPO / mutation.path).read_text().splitlines()[mutation.line - 1].strip()
    if explained := EXPLAINED.get((mutation.path, line, mutation.new)):
        return explained
    if not mutation.old[0].isdigit() or not mutation.new[0].isdigit():
        return ""
    if alike := _alike(mutation):
        return alike
    if line.startswith("resources: Resources = "):
        return "what a stage asks of a machine for a unit: more than enough either way"
    names, _, value = line.partition(" = ")
    reasons = TUNING.get(mutation.path, {})
    of_names = [reasons.get(name.partition(":")[0], "") for name in names.split(", ")]
    return f"a tuning constant: {of_names[0]}" if value and all(of_names) else ""


def _alike(mutation: Mutation) -> str:
    """The reason in ALIKE for a changed number; "" if there is none."""
    raw = (REPO / mutation.path).read_bytes()
    line_starts = raw.rfind(b"\n", 0, mutation.start) + 1
    line = raw[line_starts:].partition(b"\n")[0].decode()
    column = len(raw[line_starts : mutation.start].decode())
    found = (reason for pattern, reason in ALIKE for match in pattern.finditer(line) if match.start(1) == column)
    return next(found, "")


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [f for f in files if f.name != "__init__.py"]
