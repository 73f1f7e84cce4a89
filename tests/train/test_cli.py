"""The command line as a user meets it: one message and an exit code, no traceback."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from hdvila_testing.drawn_set import a_tree
from manifests.settings import describe_keys, load_config
from train.cli import app, main
from train.commands.eval import OPTIONS, evaluate
from train.commands.init import STARTS
from train.config import TrainConfig


def test_the_commands_are_the_promised_ones():
    """Promised names: changing one is a decision."""
    promised = ["check", "config", "convert", "crossfit", "embed", "eval", "export", "fit", "init"]
    assert sorted(c.name for c in app.registered_commands) == promised


def test_fit_says_something_before_torch_is_loaded(tmp_path):
    script = (
        "import sys, typer\n"
        "from pathlib import Path\n"
        "from train.commands.fit import fit\n"
        "typer.echo = lambda text, **_: sys.exit(print(text, 'torch' in sys.modules))\n"
        "fit(Path('none.yaml'), [])\n"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert said.stdout.rstrip() == "none.yaml: loading the trainer False"


@pytest.mark.parametrize("start", STARTS)
def test_a_start_loads_as_it_stands_and_says_how_its_file_is_run(start, tmp_path):
    file = tmp_path / "mine.yaml"
    done = CliRunner().invoke(app, ["init", start, "--out", str(file)])
    assert done.exit_code == 0 and f"fit {file}" in done.output and f" fit {file}" in file.read_text()

    config = load_config(TrainConfig, file)
    assert config.out and (config.data.manifest or config.data.videos)
    sections = "|".join(TrainConfig.model_fields)
    named = set(re.findall(rf"\b(?:{sections})\.\w+", "".join(re.findall(r"#.*", file.read_text()))))
    assert named <= {row["key"] for row in describe_keys(TrainConfig)}, "keys that its comments name"


@pytest.mark.parametrize(("word", "says"), [("hd-vila", "did you mean hd_vila?"), ("x", "demo, ")])
def test_a_start_that_is_none_gets_the_nearest_one(word, says):
    done = CliRunner().invoke(app, ["init", word])

    assert done.exit_code == 2 and says in " ".join(done.output.replace("│", "").split())


def test_fit_then_eval(drawn, tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(a_tree(drawn, tmp_path / "run")))

    fitted = CliRunner().invoke(app, ["fit", str(tmp_path / "c.yaml"), "--set", "loop.steps=3"])
    assert fitted.exit_code == 0, fitted.output
    assert "step 3/3" in fitted.output and "text to video: R@1" in fitted.output and "chance" in fitted.output

    result = CliRunner().invoke(app, ["eval", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.output
    assert '"t2v_r1"' in result.stdout and '"t2v_chance_r1": 0.2' in result.stdout


FILES = "--videos there --captions queries.json"
ASKED = "--videos there --questions asked.json"


@pytest.mark.parametrize(
    ("line", "idle"),
    [
        *(("", option) for option in ("--dsl", "--segments 8", "--frames 3", "--stride 2", "--fps 6", "--batch 1")),
        *(("", option) for option in ("--workers 2", "--format list", "--split val", "--ground-truth caption")),
        *((FILES, option) for option in ("--set seed=1", "--matching", "--flow")),
        *((ASKED, option) for option in ("--dsl", "--split val", "--format list", "--ground-truth id")),
        ("--flow", "--answers given.json"),
        ("--matching", "--segments 8"),
    ],
)
def test_an_option_of_eval_that_would_change_nothing_is_refused(line, idle):
    done = CliRunner().invoke(app, ["eval", "no_run", *line.split(), *idle.split()])

    word = "--flow" if idle.startswith("--answers") else idle.split()[0]
    assert str(done.exception).startswith(f"{word} has no effect on ")
    assert "leave it out; it goes with " in str(done.exception)


def test_every_option_of_eval_says_on_what_it_has_an_effect():
    taken = inspect.signature(evaluate).parameters.keys()

    assert OPTIONS.keys() == taken - {"context", "target"}


def test_a_schema_lists_keys_with_default_and_meaning():
    result = CliRunner().invoke(app, ["config", "--schema"])

    assert "optim.warmup  [identity, default 0.1]" in result.output
    assert "over all ranks, which the contrastive loss compares" in result.output


def test_config_prints_a_yaml_with_its_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("data: {manifest: there}\nloop: {steps: 9}\n")

    result = CliRunner().invoke(app, ["config", str(tmp_path / "c.yaml"), "--set", "seed=3"])

    tree = yaml.safe_load(result.output)
    assert tree["seed"] == 3 and tree["optim"]["clip_norm"] == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such configuration file"),
        ("data: [", "is not valid YAML"),
        ("data: {manifest: x}\nloop: {stepz: 1}\n", "loop.stepz: no such key; did you mean loop.steps?"),
        ("data: {manifest: /nowhere/manifest.json}\nloop: {steps: 1}\n", "no such file"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(tmp_path, capsys, text, message):
    if text is not None:
        (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(SystemExit) as stopped:
        main(["fit", str(tmp_path / "c.yaml"), "--set", f"out={tmp_path / 'run'}"])

    assert stopped.value.code == 2 and message in capsys.readouterr().err
