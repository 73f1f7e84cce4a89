"""Pages teach what is so: reference pages are those that the code makes, commands parse, the site has no dead link."""

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from typer.testing import CliRunner

import pipeline.cli
import train.cli
from hdvila_testing.shards import NO_CARD, a_data_set, tiny_film
from miniyoutube.demo import demo_config
from pipeline.config.reference import settings_page
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import check_identity
from tests.command_line import options_unknown, parsed
from train.commands.init import STARTS

REPO = Path(__file__).resolve().parent.parent
APPS = {"hdvila-pipeline": pipeline.cli.app, "hdvila-train": train.cli.app}
NEEDS = re.compile(r"# needs (the net|the cluster|a browser|your videos|the published files)")
AWAY = ("s3://", "hf upload", "--format onnx")
"""What a page names and no test has, a bucket and the hub, or what tests/train/exports makes at length."""
EXPECTED = {"--require": 1}
"""Exit codes other than 0: a tiny data set falls short of 720 lines."""
TWO_STEPS = ["--set", "loop.steps=2", "--set", "loop.epochs=0", "--set", "loop.batch=2", "--set", "data.workers=0"]
SMALL = {"high": [64, 128], "width": 32, "n_heads": 2, "n_space_time_blocks": 2, "n_text_layers": 1}
SMALLER = [part for key, value in SMALL.items() for part in ("--set", f"model.{key}={value}")]
SHORTER = {
    "fit": [*TWO_STEPS, *SMALLER],
    "crossfit": [*TWO_STEPS, *SMALLER],
}
"""What a test adds to a command that would take minutes."""
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
LAB = sorted((REPO / "docs" / "lab").glob("*.md"))
"""Measurements: their commands take minutes to hours, so that they are parsed and not run."""


def commands_in(page: Path) -> list[str]:
    """Lines of shell blocks that call one of our programs."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", page.read_text(), re.DOTALL)
    shell = (block.replace("\\\n", " ") for kind, block in blocks if kind in ("", "sh"))
    lines = (line.strip() for block in shell for line in block.splitlines())
    return [line for line in lines if line.split(" ")[0] in APPS]


def test_the_settings_page_is_made_from_the_settings() -> None:
    page = (REPO / "docs" / "settings.md").read_text()

    assert page == settings_page(), "run: python -m pipeline.config.reference > docs/settings.md"


def test_every_message_that_troubleshooting_explains_is_one_that_a_program_prints() -> None:
    page = (REPO / "docs" / "troubleshooting.md").read_text()
    rows = [
        line.split("|")[1] for line in page.splitlines() if line.startswith("| ") and not line.startswith("| message")
    ]
    code = "".join(
        file.read_text()
        for room in ("manifests", "pipeline", "train", "miniyoutube")
        for file in (REPO / room).rglob("*.py")
    )

    messages = [message for row in rows for message in re.findall("`([^`]+)`", row)]
    assert len(messages) > 20
    assert [message for message in messages for part in message.split("…") if part.strip() not in code] == []


def test_every_place_that_extending_names_is_there() -> None:
    page = (REPO / "docs" / "extending.md").read_text()
    places = [place for place in re.findall("`([^`<> ]+)`", page) if "/" in place]

    assert len(places) > 20
    assert [place for place in places if not (REPO / place).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, *LAB], ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_program_takes(page: Path) -> None:
    for line in commands_in(page):
        program, *words = shlex.split(line, comments=True)
        assert parsed(APPS[program], words), line


@pytest.mark.parametrize("page", [*PAGES, *LAB], ids=lambda page: page.name)
def test_every_command_in_a_sentence_is_there_with_its_options(page: Path) -> None:
    for program, line in re.findall(r"`(?:\.venv/bin/)?(hdvila-pipeline|hdvila-train) ([^`]+)`", page.read_text()):
        words = shlex.split(re.sub(r"[\[\]\\|]", " ", line))
        assert options_unknown(APPS[program], words) == [], line


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages speak of: data sets in out/, a training, a film, spans, captions, takedowns."""
    folder = tmp_path_factory.mktemp("desk")
    check_identity(Store(str(folder / "out" / "crawl")), demo_config(folder / "out" / "crawl", None, []))
    config = ShardsConfig(card=NO_CARD, split=SplitConfig(val=0.3))
    for name, prefix in (("demo", "video"), ("a", "first"), ("b", "other"), ("crawl", "found")):
        a_data_set(folder / "out" / name, n_videos=8, n_clips=2, prefix=prefix, config=config)
    shutil.copytree(REPO / "configs", folder / "configs")
    shutil.copy(STARTS["demo"], folder / "train.yaml")
    (folder / "film.mp4").write_bytes(tiny_film(60, 1280, 720))
    (folder / "spans.jsonl").write_text('{"start_ms": 500, "end_ms": 3000, "text": "this is one sentence"}\n')
    (folder / "captions.en.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:03.000\nthis is one sentence. and another\n")
    (folder / "takedowns.txt").write_text("video-00000\n")
    (folder / "sentences.txt").write_text("sentence 0 of video video-00003\n")
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        fit = CliRunner().invoke(train.cli.app, ["fit", "train.yaml", *SHORTER["fit"]])
    assert fit.exit_code == 0, fit.output
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_that_needs_no_net_does_what_the_page_says(
    page: Path, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that NEEDS or AWAY excepts are parsed above; the others end as EXPECTED says, or with 0."""
    copy = tmp_path / "desk"
    shutil.copytree(desk, copy)
    monkeypatch.chdir(copy)
    for line in commands_in(page):
        if NEEDS.search(line) or any(part in line for part in AWAY):
            continue
        program, *words = shlex.split(line.replace("dQw4w9WgXcQ", "found-00000"), comments=True)
        if words[0] == "init":  # a page may show several starters
            written = words[words.index("--out") + 1] if "--out" in words else "train.yaml"
            (copy / written).unlink(missing_ok=True)
        done = CliRunner().invoke(APPS[program], words + SHORTER.get(words[0], []))
        wanted = next((code for part, code in EXPECTED.items() if part in line), 0)
        assert done.exit_code == wanted, (line, done.output, done.exception)
        assert done.output.strip(), line


def test_the_site_builds_without_a_dead_link(tmp_path: Path) -> None:
    config = load_config(str(REPO / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    build(config)

    pages = {page.parent.name for page in (tmp_path / "site").rglob("index.html")}
    assert {path.stem for path in (REPO / "docs").glob("*.md")} - {"index"} <= pages


def test_the_map_shows_every_room() -> None:
    text = (REPO / "ARCHITECTURE.md").read_text()
    rooms = [path.parent.name for path in (REPO / "pipeline").glob("*/__init__.py")]

    assert len(rooms) > 10 and [room for room in rooms if f"`{room}/`" not in text] == []


def test_every_file_that_the_documents_name_is_there() -> None:
    tops = ("manifests", "pipeline", "train", "miniyoutube", "hdvila_testing", "bench", "tests")
    files = ["/" + str(path.relative_to(REPO)) for top in tops for path in (REPO / top).rglob("*.py")]
    gone = []
    for document in [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")]:
        text = document.read_text()
        names = re.findall(r"`(?:python )?([\w/]+\.py)`", text)
        names += [f"{module.replace('.', '/')}.py" for module in re.findall(r"python -m (bench\.[\w.]+)", text)]
        gone += [f"{document.name}: {name}" for name in names if not any(file.endswith(f"/{name}") for file in files)]

    assert gone == []


def test_every_stop_of_a_words_way_is_there() -> None:
    text = (REPO / "ARCHITECTURE.md").read_text().partition("## The path of a word")[2].partition("\n## ")[0]
    stops = re.findall(r"^\d+\. `([\w/]+)\.(\w+)`", text, re.MULTILINE)

    assert 8 <= len(stops) <= 12
    for module, name in stops:
        dotted = (module if module.startswith("train/") else f"pipeline/{module}").replace("/", ".")
        assert hasattr(import_module(dotted), name), f"{module}.{name}"
