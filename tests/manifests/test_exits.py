"""How commands end: the table is complete, help and the reference page say it, and processes keep to it."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import hdvila_testing.shards as toys
import pipeline.cli
import train.cli
from manifests.errors import StorageErrorsExplained, UserError
from manifests.exits import COMMANDS, ExitCode, ExitsByTheTable, NothingMatched, codes_of

REPO = Path(__file__).resolve().parents[2]
PROGRAMS = {"hdvila-pipeline": pipeline.cli.app, "hdvila-train": train.cli.app}


def names(app: typer.Typer) -> set[str]:
    return set(get_command(app).commands)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_the_codes_of_each_command_and_that_of_the_program_says_what_they_mean(program: str) -> None:
    assert names(PROGRAMS[program]) == set(COMMANDS[program])
    for command in ("", *COMMANDS[program]):
        words = [*filter(None, [command]), "--help"]
        shown = " ".join(CliRunner().invoke(PROGRAMS[program], words, terminal_width=200).output.split())
        codes = ", ".join(str(int(code)) for code in codes_of(program, command)) if command else ""
        assert f"Exit codes: {codes}" in shown
        assert all((code.meaning in shown) == (not command) for code in ExitCode if code is not ExitCode.OK)


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (UserError("there is no such folder"), ExitCode.USER_ERROR, "there is no such folder"),
        (NothingMatched("no such video"), ExitCode.NOTHING_MATCHED, "no such video"),
        (OSError(errno.ENOSPC, "No space left on device"), ExitCode.USER_ERROR, "free some space"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "continues from there"),
        (ZeroDivisionError("by zero"), ExitCode.INTERNAL, "ZeroDivisionError: by zero"),
    ],
)
def test_what_escapes_a_command_ends_with_its_code(capsys, raised: BaseException, code: int, says: str) -> None:
    with pytest.raises(SystemExit) as ended, ExitsByTheTable("hdvila-pipeline"):
        raise raised

    assert ended.value.code == code
    said = capsys.readouterr().err
    assert says in said and ("Traceback" in said) == (code == ExitCode.INTERNAL)


def ended(*words: str) -> int:
    """The exit code of a command in this process."""
    with (
        pytest.raises(SystemExit) as ended,
        ExitsByTheTable("hdvila-pipeline"),
        StorageErrorsExplained(),
    ):
        pipeline.cli.app([*words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_wrong_option_and_a_missing_video_end_with_2_and_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toys.a_data_set(tmp_path, n_videos=1, n_clips=1)
    assert ended("why", "--no-such-option") == ExitCode.USER_ERROR
    assert ended("why", "dQw4w9WgXcQ", "--out", str(tmp_path)) == ExitCode.NOTHING_MATCHED
    assert "dQw4w9WgXcQ not found" in capsys.readouterr().err


@pytest.mark.parametrize("url", [b"ftp://nowhere/x", b"out/\xff\x1b[31m", b"http://[x"])
def test_an_address_of_any_kind_is_one_printable_line_and_2(
    url: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended("status", os.fsdecode(url)) == ExitCode.USER_ERROR
    out, said = capsys.readouterr()
    assert said.count("\n") == 1 and said.strip().isprintable() and not out


def pipeline_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def test_ctrl_c_ends_a_process_with_130_and_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/ids.txt"
        running = pipeline_command("remove", str(tmp_path), "--ids", address)
        asking, _ = silent.accept()
        with asking:
            asking.recv(1)  # from here on the command waits for an answer
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)

    assert running.returncode == ExitCode.INTERRUPTED and "continues from there" in said


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose only shard is gone."""
    from hdvila_testing.shards import NO_CARD, a_data_set
    from pipeline.config.shards import ShardsConfig

    data = tmp_path_factory.mktemp("lost") / "data"
    a_data_set(data, n_videos=2, n_clips=2, config=ShardsConfig(max_samples=4, card=NO_CARD))
    next(data.glob("shards/*/*.tar")).unlink()
    return data


@pytest.mark.parametrize("replaced", [False, True], ids=["gone", "a folder"])
@pytest.mark.parametrize(
    "command", [["remove", "--ids", "IDS"], ["reshard", "--out", "NEW"], ["export", "--exact", "--out", "NEW"]]
)
def test_a_shard_that_is_not_there_is_one_message(
    lost: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], replaced: bool
) -> None:
    data = Path(shutil.copytree(lost, tmp_path / "data"))
    if replaced:
        (data / "shards/train/00000.tar").mkdir()
    (tmp_path / "ids.txt").write_text("video video-00000\n")
    words = {"IDS": str(tmp_path / "ids.txt"), "NEW": str(tmp_path / "new")}
    name, *options = (words.get(word, word) for word in command)

    code = ended(name, str(data), *options)

    said = capsys.readouterr().err
    assert code == ExitCode.USER_ERROR and "Traceback" not in said
    assert "00000.tar" in said
