"""KEY.json of a picture: told from an asking, strict where asked for."""

import json

import pytest
from pydantic import ValidationError

from manifests.image_sample import ImageJson, QuestionJson, normal_answer, parse_image_json, read_answers

PICTURE = {
    "key": "k", "url": "", "caption": "a cat", "width": 4, "height": 3, "original_width": 4, "original_height": 3,
    "sha256": "0", "image_id": "1", "file_name": "1.jpg", "captions": ["a cat"], "source": "s", "licence": "",
    "group": "g",
}  # fmt: skip
ASKED = {"question_id": "7", "answers": ["yes"], "answer_scores": [1.0]}


def test_a_picture_where_something_is_asked_is_told_from_one_with_captions() -> None:
    assert type(parse_image_json(json.dumps(PICTURE))) is ImageJson
    assert type(parse_image_json(json.dumps(PICTURE | ASKED))) is QuestionJson


@pytest.mark.parametrize("text", ["no json", "[]", "7", json.dumps({"question_id": "7"}), json.dumps(ASKED)])
def test_json_of_neither_a_picture_nor_a_question_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_image_json(text)


def test_numbers_as_texts_pass_unless_it_is_strict() -> None:
    text = json.dumps(PICTURE | {"width": "4"})
    assert parse_image_json(text).width == 4
    with pytest.raises(ValidationError):
        parse_image_json(text, strict=True)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("The red.", "red"),
        ("  a  cat ", "cat"),
        ("2", "2"),
        ("A", "a"),
        ("on the table", "on table"),
        ("don't", "don't"),
    ],
)
def test_case_articles_and_spaces_make_no_other_answer(said, meant):
    assert normal_answer(said) == meant


@pytest.mark.parametrize("text", ["{}", "[]", '["a", 1]', '["a", "a"]', "no json"])
def test_what_is_no_list_of_answers_is_refused(text):
    with pytest.raises(ValueError):
        read_answers(text)


def test_classes_keep_their_order():
    assert read_answers(json.dumps(["yes", "no", "2"])) == ["yes", "no", "2"]
