"""Programs without the extras of their installation: help works, and what is missing is one line with its cure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.registry import _registry

from manifests.errors import UserError
from manifests.exits import EXAMPLES
from manifests.extras import cure
from pipeline.outdir.identity import open_directory
from tests.conftest import REPO

OF_EXTRAS = [
    "PIL",
    "cryptography",
    "cv2",
    "datasketch",
    "decord",
    "duckdb",
    "ffmpeg",
    "gcsfs",
    "huggingface_hub",
    "imageio_ffmpeg",
    "jinja2",
    "py3langid",
    "rapidfuzz",
    "ray",
    "requests",
    "s3fs",
    "safetensors",
    "scenedetect",
    "tensorboard",
    "threadpoolctl",
    "tokenizers",
    "torch",
    "torchvision",
    "webdataset",
    "wtpsplit_lite",
    "yt_dlp",
]

RUN_EACH = """
import shlex, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
from {package}.cli import main
for line in {lines}:
    sys.argv = ["program", *shlex.split(line)]
    try:
        main()
    except SystemExit as ended:
        print("ENDED", ended.code or 0, line, file=sys.stderr)
"""


def without_extras(program: str, lines: list[str], folder: Path) -> dict[str, tuple[int, str]]:
    """By command line, called one after another in a folder: its exit code, and what it said."""
    code = RUN_EACH.format(package=program.removeprefix("hdvila-"), missing=OF_EXTRAS, lines=lines)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    ended, said = {}, []
    for line in done.stderr.splitlines():
        if not line.startswith("ENDED "):
            said.append(line)
            continue
        _, number, command_line = line.split(" ", 2)
        ended[command_line] = int(number), "\n".join(said)
        said = []
    assert ended.keys() == {*lines}, done.stderr[-2000:]
    return ended


@pytest.mark.parametrize("program", EXAMPLES)
def test_without_extras_all_help_works_and_a_command_says_what_it_needs(program: str, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "run.yaml").write_text("{out: out, crawl: {sources: [folder]}, folder: {path: v}}")
    (tmp_path / "captions.en.vtt").write_text("WEBVTT\n")
    helps = ["--help", *(f"{command} --help" for command in EXAMPLES[program])]

    ended = without_extras(program, [*helps, *EXAMPLES[program].values()], tmp_path)

    assert {ended[line][0] for line in helps} == {0}
    needing = {line: said for line, (code, said) in ended.items() if "needs" in said}
    own = f"needs: pip install 'hdvila[{program.removeprefix('hdvila-')}]'"
    assert len(needing) >= len(EXAMPLES[program]) / 2
    for line, (code, said) in ended.items():
        assert code in (0, 2) and "Traceback" not in said, (line, said)
        assert line not in needing or (code == 2 and own in said), (line, said)


def test_every_module_of_an_extra_has_a_cure() -> None:
    assert [name for name in OF_EXTRAS if not cure(ModuleNotFoundError(name=name))] == []


def test_a_module_that_both_programs_use_is_of_the_programs_own_extra() -> None:
    missing = ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image")

    assert cure(missing, "hdvila-train") == "pip install 'hdvila[train]'"
    assert cure(missing, "hdvila-pipeline") == "pip install 'hdvila[pipeline]'"
    assert cure(ModuleNotFoundError(name="manifests.gone")) == ""


@pytest.mark.parametrize(
    ("url", "library", "extra"), [("s3://bucket/out", "s3fs", "s3"), ("gs://bucket/out", "gcsfs", "gs")]
)
def test_a_bucket_whose_library_is_missing_is_one_line_with_its_extra(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_registry, url.partition(":")[0], raising=False)  # what another test loaded
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(UserError, match=rf"^{url}: cannot be opened \(needs: pip install 'hdvila\[{extra}\]'\)$"):
        open_directory(url)
