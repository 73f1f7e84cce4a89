"""The map is the territory: the rooms of the pipeline import one way only."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent

ROOMS = (
    "config",
    "engine",
    "query",
    "outdir",
    "media",
    "text",
    "site",
    "crawl",
    "likeness",
    "balance",
    "shards",
    "report",
    "dataset",
    "browse",
    "images",
    "run",
    "commands",
    "cli",
)
"""The pipeline's rooms in the order of imports: each imports itself and what stands before it, as on the map."""
ENGINE_ROOMS = ("store", "work", "on_ray", "run")
TRAIN_ROOMS = (
    "annotations",
    "data",
    "models",
    "objectives",
    "feed",
    "evaluation",
    "loop",
    "exports",
    "commands",
)
"""Modules at the top of `train/` belong to no room: all rooms share them."""
TOPS = ("manifests", "pipeline", "train", "miniyoutube", "hdvila_testing")
"""The packages of a wheel."""


def room_of(module: Path, top: str = "pipeline") -> str:
    return module.relative_to(REPO / top).with_suffix("").parts[0]


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, dotted name) of every import in a file, those inside functions and type checks too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name) for name in names]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return found


def pipeline_modules() -> list[Path]:
    return [path for path in sorted((REPO / "pipeline").rglob("*.py")) if path.parent != REPO / "pipeline"]


@pytest.mark.parametrize(
    ("top", "rooms"), [("pipeline", ROOMS), ("pipeline/engine", ENGINE_ROOMS), ("train", TRAIN_ROOMS)]
)
def test_a_room_imports_only_rooms_before_it(top: str, rooms: tuple[str, ...]) -> None:
    folders = {path.parent.name for path in (REPO / top).glob("*/__init__.py")}
    assert folders == set(rooms) - {"cli"}

    backward = []
    for path in sorted((REPO / top).rglob("*.py")):
        if (room := room_of(path, top)) not in rooms:
            continue
        for line, name in imported(ast.parse(path.read_text())):
            other = (
                name.removeprefix(f"{top.replace('/', '.')}.").partition(".")[0]
                if name.startswith(top.replace("/", "."))
                else ""
            )
            if other in rooms and rooms.index(other) > rooms.index(room):
                backward.append(f"{path.relative_to(REPO)}:{line} imports {name}")

    assert not backward, "\n".join(backward)


def modules() -> dict[str, Path]:
    """{dotted name: file} of the program's own modules."""
    files = [path for top in TOPS for path in sorted((REPO / top).rglob("*.py"))]
    names = (path.relative_to(REPO).with_suffix("").parts for path in files)
    return {".".join(name).removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def needs_of(name: str, known: dict[str, Path]) -> set[str]:
    """The own modules that a module imports, inside functions too; what only types need is left out."""
    tree = ast.parse(known[name].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for _, dotted in imported(tree):
        found.add(dotted if dotted in known else dotted.rpartition(".")[0])
    return found & known.keys() - {name}


@cache
def all_needs() -> dict[str, set[str]]:
    """`needs_of` of every module."""
    known = modules()
    return {name: needs_of(name, known) for name in known}


def test_no_import_closes_a_circle() -> None:
    """Not even one that hides in a function."""
    left = dict(all_needs())
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]

    assert not left, f"these import each other: {sorted(left)}"


LONGEST_CHAIN = 15
"""The most modules in a chain of which each imports the next: as far as a reader may have to follow."""


def test_no_chain_of_imports_is_longer_than_a_reader_can_follow() -> None:
    chains: dict[str, tuple[str, ...]] = {}

    def chain_from(name: str) -> tuple[str, ...]:
        if name not in chains:
            chains[name] = (name, *max((chain_from(need) for need in all_needs()[name]), key=len, default=()))
        return chains[name]

    longest = max(map(chain_from, all_needs()), key=len)

    assert len(longest) <= LONGEST_CHAIN, f"{len(longest)} modules: {' > '.join(longest)}"


def test_the_map_shows_every_room() -> None:
    text = (REPO / "ARCHITECTURE.md").read_text()

    assert not [room for room in ROOMS if room != "cli" and f"`{room}/`" not in text]


def test_every_file_that_the_documents_name_is_there() -> None:
    files = [
        "/" + str(path.relative_to(REPO)) for top in (*TOPS, "bench", "tests") for path in (REPO / top).rglob("*.py")
    ]
    gone = []
    for document in [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")]:
        for name in re.findall(r"`(?:python )?([\w/]+\.py)`", document.read_text()):
            if not any(file.endswith(f"/{name}") for file in files):
                gone.append(f"{document.name}: {name}")

    assert not gone, "\n".join(gone)


def test_every_stop_of_a_words_way_is_there() -> None:
    text = (REPO / "ARCHITECTURE.md").read_text().partition("## The path of a word")[2].partition("\n## ")[0]
    stops = re.findall(r"^\d+\. `([\w/]+)\.(\w+)`", text, re.MULTILINE)
    assert 8 <= len(stops) <= 12
    for module, name in stops:
        path = REPO / (module if module.startswith("train/") else f"pipeline/{module}")
        tree = ast.parse(path.with_suffix(".py").read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}, name


def test_one_place_turns_unforeseen_errors_into_rejects() -> None:
    broad = {
        str(path.relative_to(REPO))
        for path in [*(REPO / "pipeline").rglob("*.py"), *(REPO / "manifests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    }

    assert broad == {"pipeline/engine/work/boundary.py"}
