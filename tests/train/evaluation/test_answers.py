"""Questions about pictures: published files in, fit, official result files out; scores as they are counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from manifests.errors import ConfigError, UserError
from manifests.image_sample import QuestionJson, vqa_score
from manifests.settings import parse_config
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from tests.published_questions import N, vqa
from tests.train.image_text_runs import MODELS
from train.cli import app
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.evaluation.answers import Answers, Given, worth
from train.loop.fit import StopRequest, fit

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "soho": {"optim": {"lr": 1e-3}, "loop": {"steps": 300, "batch": 64}},
    "visual_parsing": {"optim": {"lr": 3e-3}, "loop": {"steps": 200, "batch": 32}},
}


def imported(tmp_path: Path) -> Path:
    """The folder of the imported set; all of it in `train`."""
    files = vqa(tmp_path)
    settings = ImportSettings(split="train", answer_floor=4)
    done = import_images(files, tmp_path / "pictures", Store(str(tmp_path / "set")), settings)
    assert done.n_pictures == N and not done.rejected
    return tmp_path / "set"


def tree(kind: str, folder: Path, out: Path, **sections: Any) -> dict[str, Any]:
    answers = str(folder / "answers.json")
    model = {**MODELS[kind], "init_std": 0.15, "n_answers": len(json.loads((folder / "answers.json").read_text()))}
    found: dict[str, Any] = {
        "out": str(out),
        "data": {"manifest": str(folder / "manifest.json"), "val_split": "train", "answers": answers},
        "model": model,
        "objective": {"contrastive": 0.0, "answers": 1.0, "answers_kind": "scores"},
        "optim": {"warmup": 0.05, "schedule": "cosine", **RECIPES[kind]["optim"]},
        "loop": {"threads": 1, "device": "cpu", **RECIPES[kind]["loop"]},
        "checkpoint": {"every": 0, "keep": 1},
        "eval": {"every": 0, "batch": 32},
        "observe": {"tensorboard": False, "every": 20},
    }
    for name, keys in sections.items():
        found[name] = {**found.get(name, {}), **keys}
    return found


def run(kind: str, folder: Path, out: Path, **sections: Any) -> None:
    config = parse_config(TrainConfig, tree(kind, folder, out, **sections), source="test")
    fit(config, process_from_environment("cpu"), StopRequest())


def check_file(path: Path, data: Path) -> None:
    """The result file names every question once, in the form that the evaluation servers and scripts read."""
    found = json.loads(path.read_text())
    assert len({one["question_id"] for one in found}) == N and isinstance(found[0]["question_id"], int)
    assert {one["answer"] for one in found} <= set(json.loads((data / "answers.json").read_text()))


def answered(kind: str, tmp_path: Path, **sections: Any) -> dict[str, Any]:
    """Scores of a run on all that it was trained with, its official file checked."""
    data = imported(tmp_path)
    run(kind, data, tmp_path / "run", **sections)
    out = tmp_path / "result"
    result = CliRunner().invoke(app, ["eval", str(tmp_path / "run"), "--answers", str(out), "--json"])
    assert result.exit_code == 0, result.output
    check_file(out, data)
    scores: dict[str, Any] = json.loads(result.stdout)
    assert scores["n_scored"] == N
    return scores


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_of_ten_steps_begins_to_learn_and_writes_the_official_file(kind: str, tmp_path: Path) -> None:
    answered(kind, tmp_path, loop={"steps": 10, "batch": 16}, observe={"every": 1})

    lines = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert losses[-1] < losses[0]


@pytest.mark.long
@pytest.mark.parametrize("kind", MODELS)
def test_a_head_learns_64_samples_by_heart(kind: str, tmp_path: Path) -> None:
    scores = answered(kind, tmp_path)
    assert scores["accuracy"] >= 0.95, scores


@pytest.mark.parametrize("kind", MODELS)
def test_an_answering_run_starts_from_a_pre_trained_one_and_is_exported(kind: str, drawn: Path, tmp_path: Path) -> None:
    from tests.train.image_text_runs import run as pretrain

    pretrain(kind, drawn, tmp_path / "before", loop={"steps": 1}, model={"init_std": 0.15})
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "before"), str(tmp_path / "weights")])
    assert exported.exit_code == 0, exported.output
    data = imported(tmp_path)
    weights = {"model_weights": str(tmp_path / "weights")}
    run(kind, data, tmp_path / "run", loop={"steps": 1}, model=weights)
    again = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "export")])
    assert again.exit_code == 0, again.output
    n_answers = json.loads((tmp_path / "export/config.json").read_text())["model"]["n_answers"]
    assert n_answers == len(json.loads((data / "answers.json").read_text()))


def test_people_score_an_answer_by_the_published_rule() -> None:
    """Ten people: 2 said blue, 1 navy, 7 dark blue."""
    assert [round(vqa_score(n), 4) for n in (0, 1, 2, 3, 7)] == [0, 0.3333, 0.6667, 1, 1]
    facts = question(["dark blue", "blue", "navy"], [vqa_score(7), vqa_score(2), vqa_score(1)])
    said = ["dark blue", "blue", "navy", "red"]
    given = tuple(Given(str(i), answer, worth(answer, facts)) for i, answer in enumerate(said))
    assert Answers(given).flat()["accuracy"] == pytest.approx((1 + 2 / 3 + 1 / 3 + 0) / 4)


def test_answers_that_are_kept_back_give_a_file_and_no_score(tmp_path: Path) -> None:
    assert worth("red", question([], [])) is None
    found = Answers((Given("7", "red", None),))
    assert "accuracy" not in found.flat() and "kept back" in found.describe()
    found.write(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text()) == [{"question_id": 7, "answer": "red"}]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"objective": {"itm": 1.0}}, "set objective.answers alone"),
        ({"model": {"n_answers": 0}, "data": {"view": "question"}}, "needs model.n_answers"),
        ({"model": {"n_answers": 3}}, r"has \d+ answers, model.n_answers is 3"),
        ({"data": {"answers": ""}}, "name the answers that are classes"),
        ({"data": {"answers": "nowhere.json"}}, "no file to read"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(sections: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = imported(tmp_path)
    with pytest.raises((ConfigError, UserError), match=message):
        run("soho", data, tmp_path / "run", **sections)


def question(answers: list[str], scores: list[float]) -> QuestionJson:
    return QuestionJson(
        key="a_00000", url="", caption="what?", width=8, height=8, original_width=8, original_height=8, sha256="",
        image_id="a", file_name="a.jpg", captions=["what?"], source="q.json", licence="", group="a", question_id="1",
        answers=answers, answer_scores=scores,
    )  # fmt: skip
