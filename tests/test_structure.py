"""The map is the territory: the rooms of the pipeline import one way only, and every test has a module to its name."""

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


WITHOUT_A_TEST_FILE: dict[str, list[str]] = {
    "declares settings; tests/pipeline/commands/test_config.py and tests/manifests/test_stages.py walk every key": [
        f"pipeline/config/{name}" for name in ("media", "shards", "sources", "text")
    ],
    "tests/manifests/test_settings.py, which reads files through it": ["manifests/yaml_text"],
    "a table, or read from one; tests/pipeline/media/test_registries.py holds tables and modules together": [
        "manifests/checks",
        "manifests/members",
        "manifests/rows",
        *(f"pipeline/media/members/{name}" for name in ("flac", "opus")),
    ],
    "a thin command; tests/test_docs.py runs it as the pages say, and the module that it calls has its tests": [
        "pipeline/cli",
        *(f"pipeline/commands/{name}" for name in ("audit", "demo", "estimate", "export", "import_images", "merge")),
        *(f"pipeline/commands/{name}" for name in ("pause", "recheck", "remove", "report", "reshard", "verify")),
        "pipeline/commands/fsck",
    ],
    "tests/pipeline/browse/test_server.py, whose server it begins": [
        "pipeline/commands/browse",
    ],
    "a thin command; tests/train/test_cli.py runs it": [
        f"train/commands/{name}"
        for name in ("check", "config", "convert", "crossfit", "embed", "eval", "export", "fit", "init")
    ],
    "tests/train/models/test_sounding.py": ["train/data/sound", "train/objectives/sound"],
    "tests/train/test_descendants.py": [
        *(f"train/{name}" for name in ("adapt", "distill", "commands/adapt", "commands/distill", "feed/teacher")),
    ],
    "tests/train/evaluation/test_embed.py and tests/pipeline/dataset/test_embedded.py, where they are made and lost": [
        "manifests/embeddings"
    ],
    "made for tests, which fail where it does": [
        *(f"hdvila_testing/{name}" for name in ("drawn_set", "frame_code", "kills", "plans", "readers", "requests")),
        *(f"hdvila_testing/{name}" for name in ("rows", "s3", "shards", "video")),
    ],
    "tests/pipeline/media/test_hearing.py, which hears what it gives": ["pipeline/media/audio_blocks"],
    "makes a page; tests/test_docs.py holds the page against it": ["pipeline/config/reference"],
    "tests/pipeline/dataset/test_choose.py, where they are made and shown": ["pipeline/report/concepts"],
    "tests/pipeline/report/test_audit.py, on a whole data set": ["manifests/audit"],
    "tests/pipeline/query/test_funnel.py, where it is counted": ["manifests/funnel"],
    "tests/pipeline/report/test_page.py and tests/pipeline/report/test_audit.py, which show all that it reads": [
        f"pipeline/report/{name}" for name in ("data", "facts", "places", "rows")
    ],
    "tests/pipeline/report/test_clips.py, which adds up by it": ["pipeline/report/tally"],
    "tests/pipeline/crawl/test_first_look.py and tests/pipeline/crawl/test_api_lists.py, which ask it": [
        "miniyoutube/data_api"
    ],
    "tests/pipeline/crawl, tests/pipeline/site and tests/e2e, which crawl it and compare what comes": [
        *(f"miniyoutube/{name}" for name in ("answers", "big_catalogue", "catalogue", "certificate", "drawing")),
        *(f"miniyoutube/{name}" for name in ("faults", "hls", "innertube", "listings", "misbehave", "request_log")),
        *(f"miniyoutube/{name}" for name in ("server", "spoilt", "youtube_pages")),
    ],
    "tests/learn/test_demo_attributes.py, where what it says is seen": [
        f"miniyoutube/{name}" for name in ("hatching", "script")
    ],
    "tests/pipeline/engine/run/test_driver.py and tests/pipeline/engine/on_ray/test_cluster.py, on their own cluster": [
        *(f"pipeline/engine/on_ray/{name}" for name in ("machines", "remote", "running_attempts")),
    ],
    "tests/pipeline/engine/run/test_status_and_control.py, where the status has it": ["pipeline/engine/run/spending"],
    "tests/pipeline/engine/run/test_stage_run.py, by what a stage has done": ["pipeline/engine/run/name_set"],
    "tests/pipeline/engine/store/test_store.py and tests/pipeline/engine/store/test_merge.py, through the store": [
        f"pipeline/engine/store/{name}" for name in ("committed", "segment_files", "unit_parts")
    ],
    "tests/pipeline/dataset/test_links.py, by every command that writes": ["manifests/inside"],
    "tests/pipeline/dataset/test_fsck.py, which harms each kind of file": [
        "pipeline/dataset/hashes",
        "pipeline/dataset/ledger",
    ],
    "tests/pipeline/dataset/test_export.py, frame by frame": ["pipeline/dataset/exact"],
    "tests/pipeline/shards/test_plan.py, whose columns they are": ["pipeline/shards/clips"],
    "tests/pipeline/balance/test_selection.py, which chooses among them": ["pipeline/balance/clip_lists"],
    "tests/pipeline/commands/test_show.py, where it is shown": ["pipeline/text/shown_transcript"],
    "adds up what each step took, which bench/video_hour.py reads": ["pipeline/media/stopwatch"],
    "tests/manifests/test_sample_index.py, whose columns they are": ["manifests/columns"],
    "tests/pipeline/dataset/test_purge.py and tests/pipeline/dataset/test_withdraw.py, whose edits it makes": [
        "pipeline/dataset/edit"
    ],
    "tests/pipeline/commands/test_cut.py": ["pipeline/media/cut_files"],
    "tests/pipeline/likeness/test_index.py, which compares whole worlds, killed and taken up again": [
        f"pipeline/likeness/{name}" for name in ("bands", "comparing", "matches", "search", "stage")
    ],
    "tests/pipeline/crawl/test_rounds.py, where a crawl that is killed in a round goes on with it": [
        "pipeline/crawl/round_files"
    ],
    "tests/pipeline/crawl/sources/test_folder.py and tests/pipeline/media/test_stage.py, on what tables name": [
        "pipeline/media/source_files"
    ],
    "joins the others to a whole run, which tests/e2e and tests/pipeline/run kill, grow and take up again": [
        f"pipeline/run/{name}" for name in ("candidates", "generations", "publish", "repeats")
    ],
    "tests/pipeline/text/captions: by what stands in a file, whatever its format": [
        f"pipeline/text/captions/{name}" for name in ("json3", "pace", "tokens", "track", "vtt", "words", "xml_tracks")
    ],
    "tests/pipeline/text/boundary/test_net.py and tests/pipeline/text/test_same_text.py, by what models make of it": [
        f"pipeline/text/boundary/{name}" for name in ("evidence", "features")
    ],
    "tests/pipeline/run/test_planned_beside.py, which sends them": ["pipeline/run/plan_messages"],
    "tests/train/models/test_wrapping.py, on every model": ["train/models/base"],
    "tests/train/loop/test_run_folder.py and tests/train/data/test_index.py, which write by it": ["train/whole_file"],
    "tests/train/models/test_golden_hd_vila.py, against the published model": ["train/models/multimodal"],
    "tests/train/models/test_hd_vila.py, as HD-VILA has it": ["train/models/temperature"],
    "tests/train/models/test_golden_soho.py, against the published model": [
        "train/models/picture_text",
        "train/models/soho/trunk",
    ],
    "tests/train/models/vit: against transformers and open_clip, and trained from their folders": [
        "train/exports/vit_export",
        *(
            f"train/models/vit/{name}"
            for name in ("configs", "hf_config", "layouts", "lora", "open_clip_config", "shapes", "towers")
        ),
    ],
    "registers a model, which tests/train/models/test_registry.py and tests/train/test_image_text.py train": [
        f"train/models/{name}" for name in ("visual_parsing/kind",)
    ],
}
"""Modules that have no test file to their name: by what tests them, or why nothing need."""


def test_every_module_has_the_test_file_that_its_name_says_or_a_reason() -> None:
    excused = [module for group in WITHOUT_A_TEST_FILE.values() for module in group]
    files = [path.relative_to(REPO) for path in modules().values() if not path.name.startswith("__")]
    without = {
        str(path.with_suffix(""))
        for path in files
        if not (REPO / "tests" / path.with_name(f"test_{path.name}")).exists()
    }

    assert not without - set(excused), "neither a test file nor a reason"
    assert not set(excused) - without, "gone, or with a test file by now: strike it off the list"
    assert len(excused) == len(set(excused))


def test_every_test_that_a_reason_names_is_there() -> None:
    named = [name for reason in WITHOUT_A_TEST_FILE for name in re.findall(r"tests/[\w/]+(?:\.py)?", reason)]
    assert not [name for name in named if not (REPO / name).exists()]


def test_the_map_shows_every_room() -> None:
    text = (REPO / "ARCHITECTURE.md").read_text()

    assert not [room for room in ROOMS if room != "cli" and f"`{room}/`" not in text]


COVERED_BY_A_LINE = (
    "pipeline/config",
    "pipeline/commands",
    "hdvila_testing",
    "miniyoutube",
    "pipeline/crawl/sources",
    "pipeline/media/checks",
    "pipeline/media/cutting",
    "pipeline/media/members",
    "pipeline/text/boundary",
    "pipeline/text/captions",
    "train/commands",
    "train/models",
    "train/objectives",
)
"""Folders of which the map says what a file there is, and names the files that a reader needs."""


def test_every_module_is_named_by_its_room() -> None:
    lost = []
    for module in (path for top in TOPS for path in (REPO / top).rglob("*.py") if path.stem != "__init__"):
        room = module.relative_to(REPO).parent
        if any(room.is_relative_to(folder) for folder in COVERED_BY_A_LINE):
            continue
        named = ast.get_docstring(ast.parse((module.parent / "__init__.py").read_text())) or ""
        if room in (Path("pipeline"), Path("train")):
            named = (REPO / "ARCHITECTURE.md").read_text()
        if module.stem not in re.findall(r"\w+", named):
            lost.append(str(module.relative_to(REPO)))

    assert not lost, f"the docstring of no __init__ names {', '.join(sorted(lost))}"


def test_every_name_that_a_room_gives_is_there() -> None:
    gone = []
    for room in (path.parent for top in TOPS for path in (REPO / top).rglob("__init__.py")):
        named = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
        for name in re.findall(r"`(\w+)(?:/|\.py)?`", named.partition("Files: ")[2]):
            if not any(room.rglob(name)) and not any(room.rglob(f"{name}.py")):
                gone.append(f"{room.relative_to(REPO)}: {name}")

    assert not gone, "\n".join(gone)


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
