"""A picture, what is asked about it, and the right answers as classes."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests.errors import UserError
from manifests.image_sample import ImageJson, QuestionJson
from train.data.decode import SampleBroken
from train.data.questions import QuestionView, answers_of, make_view

FACTS: dict[str, Any] = {
    "key": "a_00000", "url": "", "caption": "what?", "width": 64, "height": 32, "original_width": 64,
    "original_height": 32, "sha256": "", "image_id": "a", "file_name": "a.jpg", "captions": ["what?"],
    "source": "q.json", "licence": "", "group": "a",
}  # fmt: skip
ASKED = QuestionJson(**FACTS, question_id="1", answers=["blue", "teal"], answer_scores=[1.0, 0.3])
ONE = QuestionView((32, 48), "pad", {"red": 0, "blue": 1})


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (64, 32)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


MEMBERS = {
    "jpg": jpeg((200, 0, 0)),
    "txt": b"what?",
    "json": ASKED.model_dump_json().encode(),
}


def test_a_picture_is_shown_with_its_question_and_the_score_of_each_class() -> None:
    seen = ONE.decode(MEMBERS, "whole", None)

    assert seen.text == "what?" and seen.arrays["targets"].tolist() == [0.0, 1.0], "teal is no class"
    assert seen.arrays["valid_hw"].tolist() == [24, 48]
    red, _, blue = seen.arrays["image"]
    assert (red[:24] > 180).all() and (blue < 30).all() and not seen.arrays["image"][:, 24:].any()


def test_a_blank_has_the_shapes_and_types_of_a_sample_and_no_right_answer() -> None:
    seen, blank = ONE.decode(MEMBERS, "whole", None).arrays, ONE.blank()

    assert {n: (a.shape, a.dtype) for n, a in blank.items()} == {n: (a.shape, a.dtype) for n, a in seen.items()}
    assert not blank["targets"].any() and not blank["image"].any() and blank["valid_hw"].tolist() == [32, 48]
    assert ONE.members("whole") == ONE.members("prepared") == ("jpg", "txt", "json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"json": ImageJson(**FACTS).model_dump_json().encode()}, "nothing is asked in it"),
        ({"json": b"{}"}, "cannot be decoded"),
        ({"jpg": b"\xff\xd8 no"}, "cannot be decoded"),
    ],
)
def test_a_damaged_sample_is_named_as_such(change: dict[str, bytes], message: str) -> None:
    with pytest.raises(SampleBroken, match=message):
        ONE.decode({**MEMBERS, **change}, "whole", None)


def config(answers: str, **model: Any) -> Any:
    given = {"n_answers": 2, "image_size": (32, 48), "image_fit": "crop", **model}
    return SimpleNamespace(model=SimpleNamespace(**given), data=SimpleNamespace(answers=answers))


def test_a_view_has_as_many_classes_as_its_model_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(["yes", "no"]))

    view = make_view("question", config(str(path)))

    assert (view.classes, view.size, view.fit) == ({"yes": 0, "no": 1}, (32, 48), "crop")
    assert np.array_equal(view.targets(ASKED), [0, 0])
    for n_answers in (1, 3):
        with pytest.raises(UserError, match=f"has 2 answers, model.n_answers is {n_answers}"):
            make_view("question", config(str(path), n_answers=n_answers))
    with pytest.raises(UserError, match=r"set model\.n_answers"):
        make_view("question", config(str(path), n_answers=0))


def test_answers_are_those_of_a_file(tmp_path: Path) -> None:
    for source, message in (("", "name the answers"), (str(tmp_path / "gone.json"), r"gone\.json is no file to read")):
        with pytest.raises(UserError, match=message):
            answers_of(source)
    (tmp_path / "wrong.json").write_text("[]")
    with pytest.raises(UserError, match=r"wrong\.json is not a list of answers"):
        answers_of(str(tmp_path / "wrong.json"))
