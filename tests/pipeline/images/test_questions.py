"""Published questions about pictures become a data set: one sample a question, right answers with their scores."""

import json

import pytest
from typer.testing import CliRunner

from manifests.errors import UserError
from manifests.image_sample import QuestionJson, parse_image_json
from pipeline.cli import app
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from pipeline.images.questions import read_questions
from tests.pipeline.images.published import samples_of
from tests.published_questions import N, vqa


def test_every_question_is_a_sample_with_its_answers_and_the_set_verifies(tmp_path):
    files, out = vqa(tmp_path), tmp_path / "set"
    command = ["import-images", *map(str, files), "--pictures", str(tmp_path / "pictures"), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--answer-floor", "4", "--split", "train"])
    assert result.exit_code == 0, result.output
    assert list(verify(Store(str(out)), decode=-1)) == []

    found = [parse_image_json(members["json"]) for members in samples_of(out)]
    assert all(isinstance(one, QuestionJson) for one in found)
    assert len({one.question_id for one in found}) == len({one.key for one in found}) == N
    assert len({one.group for one in found}) == 16
    classes = json.loads((out / "answers.json").read_text())
    assert all(one.answers[0] in classes and one.answer_scores[0] == 1.0 for one in found)


def test_ten_peoples_answers_are_counted_by_hand(tmp_path):
    vqa(tmp_path)
    questions = {
        "data_subtype": "val2014",
        "questions": [{"image_id": 7, "question": " What  is it?", "question_id": 1}],
    }
    people = ["blue"] * 2 + ["Navy", "the navy", "navy.", "navy"] + ["teal"] + ["grey"] * 3
    annotation = {"question_id": 1, "image_id": 7, "multiple_choice_answer": "navy",
                  "answers": [{"answer": a, "answer_id": i} for i, a in enumerate(people)]}  # fmt: skip
    for name, document in (("q", questions), ("a", {"annotations": [annotation]})):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    found = read_questions([tmp_path / "q.json", tmp_path / "a.json"], answer_floor=1)
    assert found is not None
    (asking,), classes = found
    assert (classes, asking.file_name) == (["navy"], "COCO_val2014_000000000007.jpg")
    assert asking.captions == ("What is it?",) and asking.question is not None
    assert dict(asking.question.answers) == pytest.approx({"navy": 1.0, "grey": 1.0, "blue": 2 / 3, "teal": 1 / 3})


def test_sohos_own_vqa_file_keeps_its_order_of_answers(tmp_path):
    item = {"file_name": "x.jpg", "image_id": 3, "height": 60, "width": 80,
            "vqa": [{"question": "how many?", "question_id": 9, "labels": [1, 0], "scores": [0.3, 1.0]}]}  # fmt: skip
    document = {"data": [item], "ans2label": {"two": 0, "3": 1}, "label2ans": ["two", "3"]}
    (tmp_path / "train_data_vqa.json").write_text(json.dumps(document))
    (asking,), classes = read_questions([tmp_path / "train_data_vqa.json"])
    assert classes == ["two", "3"]
    assert asking.question.answers == (("two", 1.0), ("3", 0.3)) and asking.file_name == "x.jpg"


def test_test_questions_have_no_answers(tmp_path):
    asked = {"image_id": 7, "question": "what is it?", "question_id": 1}
    (tmp_path / "test.json").write_text(json.dumps({"data_subtype": "test2015", "questions": [asked]}))
    (asking,), _ = read_questions([tmp_path / "test.json"])
    assert asking.question.answers == () and asking.file_name == "COCO_test2015_000000000007.jpg"


@pytest.mark.parametrize(
    "questions",
    [
        [{"image_id": 7, "question_id": 1}],
        [{"image_id": 7, "question": "x", "question_id": 1}] * 2,
        [{"question": "x", "question_id": 1}],
    ],
    ids=["no question", "one id twice", "no picture"],
)
def test_files_of_no_format_say_what_is_wrong_with_them(questions, tmp_path):
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"data_subtype": "val2014", "questions": questions}))
    with pytest.raises(UserError, match=r"q\.json: cannot be read as"):
        read_questions([path])


def test_a_picture_that_is_missing_costs_its_questions_alone(tmp_path):
    files = vqa(tmp_path)
    (tmp_path / "pictures" / "COCO_train2014_000000000003.jpg").unlink()
    done = import_images(files, tmp_path / "pictures", Store(str(tmp_path / "set")), ImportSettings(split="train"))
    assert done.n_pictures == N - 4 and done.rejected == {"image_missing": 4}
