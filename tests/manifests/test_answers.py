"""Answers to questions about pictures: when two are the same, what one is worth, the list of those that are classes."""

import json

import pytest

from manifests.answers import normal_answer, read_answers, vqa_score


def test_three_people_make_an_answer_right():
    assert [round(vqa_score(n), 4) for n in (0, 1, 2, 3, 10)] == [0, 0.3333, 0.6667, 1, 1]


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
