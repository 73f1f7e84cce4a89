"""Answers as the connection sends them."""

import json
from pathlib import Path

from miniyoutube.answers import Answer, FileSlice, error_answer, html_answer, json_answer


def test_an_answers_length_is_that_of_its_whole_body() -> None:
    assert html_answer("ü").n_bytes == 2
    assert Answer(slice=FileSlice(Path("x"), 100, 350)).n_bytes == 250


def test_errors_have_the_sites_json_form() -> None:
    for status, words in [(429, "Too Many Requests"), (503, "Service Unavailable"), (599, "Service Unavailable")]:
        answer = error_answer(status)
        assert answer.status == status
        assert json.loads(answer.body)["error"] == {"code": status, "message": words}
    assert json_answer({"a": 1}).body == b'{"a":1}'
