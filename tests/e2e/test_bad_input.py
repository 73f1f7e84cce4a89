"""What a person gets wrong is answered by one message that names the thing and the cure, and a non-zero exit."""

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import pytest

from hdvila_testing.video import a_video
from manifests.errors import StorageErrorsExplained
from manifests.exits import ExitsByTheTable
from manifests.lock import RunLock
from pipeline.cli import app
from pipeline.engine.store.store import Store
from tests.conftest import need

FOLDER_RUN = """
out: {out}
crawl: {{sources: [folder]}}
folder: {{path: {folder}}}
media: {{cut: {{min_short_side: 180}}}}
engine: {{executor: local}}
"""


class Ended(NamedTuple):
    """How a command ended: its exit code and what it said on both streams."""

    returncode: int
    said: str


Program = Callable[..., Ended]
SENTENCES = (
    "The old boat leaves the harbour early in the morning.",
    "Two children wave from the wall until it is gone.",
    "Out at sea the wind turns and the sails fill.",
    "By noon nobody can see any land at all.",
)


@pytest.fixture
def pipeline(capfd: pytest.CaptureFixture[str]) -> Program:
    """Runs a command of hdvila-pipeline in this process, as its `main` does."""

    def run(*arguments: object) -> None:
        with ExitsByTheTable("hdvila-pipeline"), StorageErrorsExplained():
            app([str(argument) for argument in arguments])

    return lambda *arguments: ended(capfd, run, *arguments)


def ended(capfd: pytest.CaptureFixture[str], main: Callable[..., None], *arguments: object) -> Ended:
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main(*arguments)
    return Ended(int(end.value.code or 0), "".join(capfd.readouterr()))


def one_message(result: Ended, *words: str) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.said
    for word in words:
        assert word in result.said, result.said[-1500:]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    a_video(folder / "film.mp4", seconds=12, fps=Fraction(10), width=320, height=180)
    lines = [f"00:{3 * i:02}.000 --> 00:{3 * i + 3:02}.000\n{text}\n" for i, text in enumerate(SENTENCES)]
    (folder / "film.en.vtt").write_text("WEBVTT\n\n" + "\n".join(lines))
    return folder


@pytest.fixture
def run_yaml(films: Path, tmp_path: Path) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(FOLDER_RUN.format(out=tmp_path / "out", folder=films))
    return file


def test_a_missing_configuration_is_named_by_the_program_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "pipeline", "run", "none.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)

    one_message(Ended(done.returncode, done.stderr + done.stdout), "none.yaml", "no such configuration file")


def test_broken_yaml_is_told_with_its_line(pipeline: Program, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("out: [1\nseed: 2")
    one_message(pipeline("run", file), "run.yaml", "not valid YAML", "line 2")


def test_an_unknown_key_names_the_nearest_right_one(pipeline: Program, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("out: x\nbalance: {polcy: equal}\n")
    one_message(pipeline("run", file), "balance.polcy", "did you mean balance.policy?")


def test_a_value_out_of_range_names_its_key(pipeline: Program, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("out: x\n")
    one_message(pipeline("run", file, "--set", "shards.split.val=3"), "shards.split.val", "less than 1")


def test_an_empty_source_is_named(pipeline: Program, run_yaml: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    one_message(pipeline("run", run_yaml, "--set", f"folder.path={tmp_path / 'nothing'}"), "folder.path", "no file")


def test_an_output_that_cannot_be_made_is_named(pipeline: Program, run_yaml: Path) -> None:
    one_message(pipeline("run", run_yaml, "--set", "out=/proc/nowhere/out"), "/proc/nowhere/out", "another folder")


def test_an_output_that_is_read_only_or_held_by_another_run_is_left_as_it_is(
    pipeline: Program, run_yaml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    read_only = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    there = ["unshare", "-rm", "sh", "-c", read_only, str(out)]
    need(subprocess.run([*there, "true"]).returncode == 0, "a mount of its own (unshare -rm)", "kernel")
    command = [*there, sys.executable, "-P", "-m", "pipeline", "run", str(run_yaml)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    with RunLock(Store(str(out))):
        second = pipeline("run", run_yaml)

    one_message(Ended(done.returncode, done.stderr + done.stdout), "Read-only file system", "same command again")
    one_message(second, "in use by", "start again")
    assert (done.returncode, second.returncode) == (3, 3) and not list(out.iterdir())
    assert pipeline("run", run_yaml).returncode == 0


def test_other_identity_keys_are_refused_with_the_stage_they_touch_and_an_unreadable_shard_is_named_by_verify(
    pipeline: Program, run_yaml: Path, tmp_path: Path
) -> None:
    first = pipeline("run", run_yaml)
    assert first.returncode == 0, first.said[-2000:]

    one_message(pipeline("run", run_yaml, "--set", "text.clips.target_s=9"), "text.clips.target_s", "--redo clips")

    again = pipeline("run", run_yaml, "--set", "text.clips.target_s=9", "--redo", "clips")
    assert again.returncode == 0, again.said[-2000:]

    shard = next((tmp_path / "out").glob("shards/*/*.tar"))
    shard.write_bytes(shard.read_bytes()[:1000])
    one_message(pipeline("verify", tmp_path / "out"), shard.name)


def test_no_network_is_said_and_nothing_is_charged_to_a_video(pipeline: Program, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        f"out: {tmp_path / 'out'}\nengine: {{executor: local}}\n"
        "crawl:\n  sources: [search]\n  categories: [27]\n"
        "  identities: [{name: lost, proxy: 'http://127.0.0.1:9', videos_per_hour: 100000}]\n"
        "  retry_wait_s: 0\n  ydl_opts: {retries: 0, extractor_retries: 0, socket_timeout: 2}\n"
        "  politeness: {identity_requests_per_minute: {list: 6000}, patience_s: 0, pauses_s: [0.1]}\n"
    )
    result = pipeline("run", file)

    one_message(result)
    assert "network" in result.said or "reach" in result.said


def test_a_manifest_of_an_unknown_version_is_refused_by_the_trainer(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from train.cli import main

    manifest = {"schema_version": 99, "shards": "manifest.parquet", "shards_sha256": ""}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    file = tmp_path / "train.yaml"
    data = f"data: {{manifest: {tmp_path / 'manifest.json'}}}"
    file.write_text(f"out: {tmp_path / 'run'}\n{data}\nmodel: {{preset: tiny}}\nloop: {{steps: 1}}\n")

    one_message(ended(capfd, main, ["fit", str(file)]), "schema version 99", "reads version 1")
