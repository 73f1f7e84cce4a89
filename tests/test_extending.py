"""A step in a package of its own: the code of docs/extending.md, installed by pip outside the repository."""

import json
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import pipeline.cli
from hdvila_testing.drawn_set import MICRO_MODEL
from hdvila_testing.video import Film, a_video
from manifests.errors import ConfigError
from manifests.settings import load_config
from pipeline import RunConfig, read_table
from tests.foreign_package import changed, program
from tests.pipeline.run.small_runs import describe

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def a_green_film(path: Path) -> None:
    """Four seconds of green."""
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[..., 1] = 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for _ in range(100):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for k in range(4):
        film = folder / f"film-{k}.mp4"
        if k == 3:
            a_green_film(film)
        else:
            a_video(film, Film(seconds=4, gop=25, width=320, height=180))
        describe(film, k)
    return folder


def run_yaml(folder: Path, films: Path, **media: Any) -> Path:
    tree = {
        "out": "out",
        "crawl": {"sources": ["folder"]},
        "folder": {"path": str(films)},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": 180}, **media},
        "balance": {"unit": "clips", "text_duplicates": {"reuploads": False}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def a_model_that_dislikes_green(path: Path) -> None:
    """Its score is the mean of a picture's green, as CLIP's pictures are scaled, with the other sign."""
    helper, kinds = onnx.helper, onnx.TensorProto
    pixels = helper.make_tensor_value_info("pixels", kinds.FLOAT, [1, 3, 224, 224])
    score = helper.make_tensor_value_info("score", kinds.FLOAT, [1, 1])
    weights = onnx.numpy_helper.from_array(np.float32([[0], [-1], [0]]), "weights")
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["score"]),
    ]
    graph = helper.make_graph(nodes, "score", [pixels], [score], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))


@pytest.fixture(scope="module")
def made(greenery: Path, films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set made with the package's checks and member."""
    folder = tmp_path_factory.mktemp("made")
    a_model_that_dislikes_green(greenery / "greenery" / "score.onnx")
    checks = {"too_green": "reject", "greenest": 0.7, "unlovely": "flag", "least_lovely": -0.1}
    config = run_yaml(folder, films, checks=checks, members={"tint": True})
    done = program("hdvila-pipeline", "run", config, site=greenery, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_check_and_a_member_of_a_package_make_a_data_set(made: Path) -> None:
    head = json.loads((made / "out/manifest.json").read_text())
    packs = {row["video_id"]: row for row in read_table(str(made / "out"), "packs").to_pylist()}

    assert packs["film-3"]["reason"] == "greenery.too_green"
    assert "of a picture is green" in packs["film-3"]["error_message"]
    assert [packs[f"film-{k}"]["reason"] for k in range(3)] == ["", "", ""]
    assert head["members"][-1] == "tint.npy"
    assert head["config"]["media.checks.too_green"] == "reject"
    assert head["config"]["media.checks.greenest"] == 0.7
    assert head["config"]["media.checks.too_green.package"] == "greenery 1.0"
    assert head["config"]["media.members.tint.package"] == "greenery 1.0"


def test_a_models_score_is_in_each_sample_and_the_check_goes_by_it(made: Path, films: Path) -> None:
    samples = {}
    for tar in (made / "out/shards").rglob("*.tar"):
        with tarfile.open(tar) as shard:
            found = [json.load(shard.extractfile(name)) for name in shard.getnames() if name.endswith(".json")]
            samples |= {sample["video_id"]: sample for sample in found}

    assert set(samples) == {"film-0", "film-1", "film-2"}
    for name, sample in samples.items():
        with av.open(str(films / f"{name}.mp4")) as film:
            first = next(frame for frame in film.decode(video=0) if frame.time * 1000 >= sample["start_ms"])
        green = first.to_ndarray(format="rgb24")[..., 1].mean()
        assert sample["loveliness"] == pytest.approx(-(green / 255 - 0.458) / 0.261, abs=0.05)
        assert ("greenery.unlovely" in sample["flags"]) == (sample["loveliness"] < -0.1)


def said_here(*words: object) -> str:
    """What hdvila-pipeline prints in this process, which finds no package; it ends well."""
    done = CliRunner().invoke(pipeline.cli.app, [*map(str, words)])
    assert done.exit_code == 0, (words, done.output)
    return str(done.output)


def test_finished_data_is_looked_after_without_the_package(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made / "out", out)
    (tmp_path / "ids.txt").write_text("film-0\n")

    said_here("verify", out)
    said_here("report", out)
    assert "greenery.too_green" in said_here("status", out)
    assert "1 videos" in said_here("retry", out, "--reason", "greenery.too_green")
    said_here("remove", out, "--ids", tmp_path / "ids.txt")


def test_verify_looks_into_the_member_where_the_package_is_installed(
    made: Path, greenery: Path, tmp_path: Path
) -> None:
    stricter = changed(greenery, tmp_path / "site", "(sample.n_frames, 3)", "(sample.n_frames, 4)")

    fine = program("hdvila-pipeline", "verify", "out", site=greenery, cwd=made)
    strict = program("hdvila-pipeline", "verify", "out", site=stricter, cwd=made)

    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert strict.returncode == 1
    assert re.search(r"tint\.npy: \(\d+, 3\), the clip has", strict.stdout + strict.stderr)


def test_another_version_of_the_package_is_refused_like_another_setting(
    made: Path, greenery: Path, tmp_path: Path
) -> None:
    newer = changed(greenery, tmp_path / "site", "Version: 1.0", "Version: 1.1")

    done = program("hdvila-pipeline", "run", "run.yaml", site=newer, cwd=made)

    assert done.returncode == 2
    assert "media.checks.too_green.package: was 'greenery 1.0', is now 'greenery 1.1'" in done.stderr
    assert "--redo media" in done.stderr


def test_a_run_that_names_a_step_needs_its_package(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"media\.members: there is no tint, and no installed package brings it"):
        load_config(RunConfig, made / "run.yaml")


def test_a_broken_package_stops_only_those_who_name_it(films: Path, greenery: Path, tmp_path: Path) -> None:
    broken = changed(greenery, tmp_path / "site", "import numpy", "import numpyy")
    named: dict[str, dict[str, Any]] = {
        "check": {"checks": {"too_green": "flag"}},
        "member": {"members": {"tint": True}},
    }
    said = {}
    for name, media in named.items():
        folder = tmp_path / name
        folder.mkdir()
        config = run_yaml(folder, films, **media)
        said[name] = program("hdvila-pipeline", "run", config, "--dry-run", site=broken, cwd=folder)

    assert said["check"].returncode == 0, said["check"].stderr
    assert said["member"].returncode == 2
    assert "tint of members: greenery 1.0 cannot be loaded" in said["member"].stderr
    assert "Traceback" not in said["member"].stderr


def test_a_package_with_a_name_of_ours_is_refused_in_one_message(films: Path, greenery: Path, tmp_path: Path) -> None:
    clash = changed(greenery, tmp_path / "site", "too_green", "silence")

    done = program("hdvila-pipeline", "run", run_yaml(tmp_path, films), site=clash, cwd=tmp_path)

    assert done.returncode == 2
    assert "greenery 1.0 brings silence to checks" in done.stderr and "Traceback" not in done.stderr


def test_a_view_and_an_objective_of_a_package_train(made: Path, greenery: Path, tmp_path: Path) -> None:
    tree = {
        "out": "run",
        "data": {"manifest": str(made / "out"), "stride": 3, "view": "tinted"},
        "model": dict(MICRO_MODEL),
        "objective": {"spread": 0.5},
        "loop": {"steps": 2, "batch": 2, "threads": 1, "device": "cpu"},
        "checkpoint": {"every": 1},
        "eval": {"every": 0},
        "observe": {"tensorboard": False, "every": 1},
    }
    config = tmp_path / "train.yaml"
    config.write_text(yaml.safe_dump(tree))

    done = program("hdvila-train", "fit", config, site=greenery, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    steps = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert any("spread" in key for step in steps for key in step), steps[-1]
    recorded = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert recorded["plugins"] == {"tinted": "greenery 1.0", "spread": "greenery 1.0"}

    newer = changed(greenery, tmp_path / "site", "Version: 1.0", "Version: 1.1")
    done = program("hdvila-train", "fit", config, "--set", "loop.steps=3", site=newer, cwd=tmp_path)

    assert done.returncode == 2, done.stdout + done.stderr
    assert "greenery 1.0" in done.stderr and "greenery 1.1" in done.stderr and "Traceback" not in done.stderr
