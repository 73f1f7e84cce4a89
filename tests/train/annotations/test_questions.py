"""Files of questions about videos, in miniature but in the published forms, and what is said of files that are none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from train.annotations.questions import Question, read_questions

MSRVTT_QA = [
    {"answer": "couch", "category_id": 14, "id": 0, "question": "what are three people sitting on?", "video_id": 6513},
    {"answer": "man", "category_id": 14, "id": 1, "question": "who is there?", "video_id": 6513},
]
MC = [{"video": "video7010.mp4", "caption": ["a dog  runs", "a cat"], "answer": 1}]
MC_LINES = '{"qid": 3, "clip_name": "a/video7010", "options": ["a dog runs", "a cat"], "answer": "0", "title": ""}\n'
CHOICES = (
    "gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\tvid_id\tkey\n"
    'tumblr_nqc2\tWhat does the "woman" do 4 times ?\tflick\tdo gymnastic\tchew\tshake hips\tpat\t2\tACTION1\t5\n'
)
FRAMES = (
    "gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription\n"
    "tumblr_nq54\thow many dogs are there ?\ttwo\t1\tFRAMEQA3\t25889\ttwo dogs .\n"
    "tumblr_nq55\twhat is white ?\tdog\t0\tFRAMEQA4\t25890\ta dog .\n"
)
COMMAS = 'question,answer,video_id\n"what, then?",a dog,video7010\n'


def a_file(folder: Path, content: Any) -> Path:
    (folder / "asked").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "asked"


@pytest.mark.parametrize(
    ("content", "task", "first"),
    [
        (MSRVTT_QA, "open", Question(0, "video6513", "what are three people sitting on?", "couch", (), "what")),
        (MC, "choice", Question(0, "video7010", "", 1, ("a dog runs", "a cat"))),
        (MC_LINES, "choice", Question(3, "video7010", "", 0, ("a dog runs", "a cat"))),
        (
            CHOICES,
            "choice",
            Question(
                "ACTION1",
                "tumblr_nqc2",
                'What does the "woman" do 4 times ?',
                2,
                ("flick", "do gymnastic", "chew", "shake hips", "pat"),
            ),
        ),
        (FRAMES, "open", Question("FRAMEQA3", "tumblr_nq54", "how many dogs are there ?", "two", (), "number")),
        (COMMAS, "open", Question(0, "video7010", "what, then?", "a dog", (), "what")),
    ],
    ids=["msrvtt-qa", "msrvtt-mc", "msrvtt-mc lines", "tgif action", "tgif frame", "commas"],
)
def test_each_published_form_is_read(tmp_path, content, task, first):
    questions = read_questions(a_file(tmp_path, content))

    assert (questions.task, questions.all[0]) == (task, first)


def test_a_text_is_chosen_by_reading_it_after_the_question():
    asked = Question(0, "v", "what does he do ?", 1, ("jump", "sit"))
    assert asked.readings == ("what does he do ? jump", "what does he do ? sit")
    assert Question(0, "v", "", 1, ("jump", "sit")).readings == ("jump", "sit")
    assert Question(0, "v", "who?", "a man").readings == ("who?",)


def test_the_commonest_answers_come_first_and_equally_common_ones_in_their_order(tmp_path):
    answers = ["cat", "dog", "man", "dog", "man", "fish", ""]
    content = [{"question": "what?", "answer": answer, "video_id": 1, "id": i} for i, answer in enumerate(answers)]

    questions = read_questions(a_file(tmp_path, content))

    assert questions.commonest(3) == ["dog", "man", "cat"]
    assert questions.all[-1].answer is None, "an answer that is kept back"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"video": "a", "caption": ["b", "c"]}], "holds no questions about videos; looked for: a table with gif_name"),
        ("gif_name\tquestion\tanswer\tvid_id\tkey\n", "holds no question"),
        ([*MC, {"video": "a", "caption": ["b", "c"], "answer": 2}], "entry 2 .*answer 2 of 2"),
        ([*MC, {"caption": ["b", "c"], "answer": 0}], "entry 2 .*names no video"),
        ([*MC, {"video": "a", "caption": [3, 4], "answer": 0}], "entry 2 .*a text is expected"),
        ([*MC, 7], "entry 2 .*int instead of an object"),
        ([*MC, {"video": "a", "caption": ["b"], "answer": 0}], "entry 2 .*fewer than two texts"),
        ([*MSRVTT_QA, MSRVTT_QA[0]], "1 questions have the id of another"),
        ([{**MSRVTT_QA[0], "question": ""}], "entry 1 .*question is empty"),
        (CHOICES + "tumblr_1\tWhat ?\tflick\n", "line 3 .*more or fewer columns than the header"),
    ],
)
def test_what_is_no_question_is_said_with_its_place(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_questions(a_file(tmp_path, content))


@pytest.mark.parametrize("content", [json.dumps(MSRVTT_QA), json.dumps(MC), MC_LINES, CHOICES, FRAMES, COMMAS])
def test_a_damaged_file_is_read_or_refused_with_one_message(tmp_path, content):
    data = content.encode()
    draw = random.Random(content)
    for _ in range(20):
        spoilt = bytearray(data)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(spoilt))
            spoilt[at : at + draw.choice((0, 1, 1, 9, len(data)))] = draw.choice(
                (b"", b"null", b'"', b"\xff", b"\n", b"{}", b"\t", b"\0")
            )
        path = tmp_path / "spoilt"
        path.write_bytes(spoilt)
        try:
            questions = read_questions(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert all(question.video and all(question.readings) for question in questions.all)
