"""What questions about videos add to a batch: targets and texts, and the answers that are classes."""

from __future__ import annotations

import json

import pytest
import torch

from hdvila_testing.drawn_set import MICRO_MODEL
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.feed.asked import classes_of, read_classes, training_questions
from train.feed.batches import Batches, open_data

ALONE = process_from_environment("cpu")


def config_of(folder, questions, n_answers, **data):
    file = folder / "asked.json"
    file.write_text(json.dumps(questions))
    tree = {
        "out": str(folder / "run"),
        "data": {"questions": str(file), "stride": 3, **data},
        "model": {**MICRO_MODEL, "stage": 2, "n_answers": n_answers, "text_length": 16},
        "objective": {"contrastive": 0.0, "answers": 1.0, "answers_kind": "one"},
        "loop": {"steps": 1, "batch": 3},
    }
    (folder / "run").mkdir(exist_ok=True)
    return parse_config(TrainConfig, tree, source="test")


def opened(config):
    data = open_data(config, config_folder(config), ALONE)
    rows = next(Batches(data, config, config_folder(config), ALONE).steps(0, 1))
    return data, rows[1], rows[2]


def config_folder(config):
    from pathlib import Path

    return Path(config.out)


OPEN = [
    {"question": "what is it?", "answer": answer, "video_id": f"train{v:05d}", "id": v}
    for v, answer in enumerate(["red", "blue", "red", "seldom"])
]


def test_an_open_question_aims_at_its_answers_class_and_rare_answers_are_not_learned(drawn, tmp_path, caplog):
    config = config_of(tmp_path, OPEN, 2, manifest=str(drawn))

    data, rows, loaded = opened(config)

    assert (list(data.classes), len(data.train), data.val) == (["red", "blue"], 3, None)
    assert "1 of 4 questions have no answer to learn" in caplog.text
    aims = dict(zip(loaded.keys, rows.targets.tolist(), strict=True))
    assert aims == {"train00000_00000": [1, 0], "train00001_00000": [0, 1], "train00002_00000": [1, 0]}


def test_a_run_keeps_its_classes_when_the_file_changes(drawn, tmp_path):
    config = config_of(tmp_path, OPEN, 2, manifest=str(drawn))
    first = classes_of(config, training_questions(config), tmp_path / "run", ALONE)

    changed = config_of(tmp_path, [{**entry, "answer": "green"} for entry in OPEN], 2, manifest=str(drawn))

    assert classes_of(changed, training_questions(changed), tmp_path / "run", ALONE) == first
    (tmp_path / "run/answers.json").write_text("{}")
    with pytest.raises(UserError, match=r"answers.json: cannot be read as a list of answers"):
        read_classes(tmp_path / "run")


def test_each_text_to_choose_from_is_read_with_the_question(drawn, tmp_path):
    questions = [
        {"question": "what does it do?", "options": ["rise", "fall"], "answer": v % 2, "video_id": f"train{v:05d}"}
        for v in range(3)
    ]
    config = config_of(tmp_path, questions, 1, manifest=str(drawn))

    data, rows, loaded = opened(config)

    assert rows.input_ids.shape == rows.attention_mask.shape == (3, 2, 16)
    row = loaded.keys.index("train00001_00000")
    wanted = data.tokenizer.encode(["what does it do? rise", "what does it do? fall"], 16)[0]
    assert torch.equal(rows.input_ids[row], wanted) and rows.targets[row].tolist() == [0, 1]


def test_questions_that_the_model_is_not_made_for_are_refused(drawn, tmp_path):
    message = "asks questions of task open, and the model is made for choice; open needs model.n_answers above 1"
    with pytest.raises(UserError, match=message):
        opened(config_of(tmp_path, OPEN, 1, manifest=str(drawn)))


def test_different_numbers_of_texts_are_refused(drawn, tmp_path):
    questions = [
        {"question": "?", "options": ["a", "b", "c"][: 2 + v], "answer": 0, "video_id": f"train{v:05d}"}
        for v in range(2)
    ]
    with pytest.raises(UserError, match="different numbers of texts"):
        opened(config_of(tmp_path, questions, 1, manifest=str(drawn)))


def test_what_does_not_go_together_is_refused_by_name(drawn, tmp_path):
    for data, message in (
        ({}, "give either data.manifest or data.videos"),
        ({"manifest": str(drawn), "captions": "c.json"}, "data.captions and data.questions: give one"),
        ({"manifest": str(drawn), "order": "streaming"}, "data.questions: streaming reads whole shards"),
    ):
        with pytest.raises(ConfigError, match=message):
            config_of(tmp_path, OPEN, 2, **data)
