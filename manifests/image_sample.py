"""A sample of an image-text set: `KEY.jpg KEY.txt KEY.json`, and the fields of its KEY.json.

The manifest of such a set has `kind: image`. Keys of img2dataset come first, so that its readers find theirs; every
KEY.json has every key, each with one type and never null. If there are questions about a picture (VQA),
each sample is one question: its caption is the question, and KEY.json has the fields of `QuestionJson` too. The set's
answers.json lists the answers that are classes, in class order: `data.answers` of a training run.
"""

import json
import re

from pydantic import BaseModel, ConfigDict

from manifests.version import SCHEMA_VERSION

IMAGE_KIND = "image"
"""`kind` in the manifest of an image-text set."""

IMAGE_MEMBERS = ("jpg", "txt", "json")


class ImageJson(BaseModel):
    """KEY.json of a picture with its captions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    url: str
    """The address the picture came from; "" if unknown."""
    caption: str
    """The first of `captions`: the content of KEY.txt."""
    status: str = "success"
    error_message: str = ""
    width: int
    """Of this sample's JPEG, in pixels."""
    height: int
    original_width: int
    original_height: int
    sha256: str
    """Of the picture's original file."""
    schema_version: int = SCHEMA_VERSION
    image_id: str
    """The source's own id."""
    file_name: str
    captions: list[str]
    """At least one; each describes the whole picture."""
    source: str
    """Name of the annotation file."""
    licence: str
    """The picture's licence, as the source names it; "" if it doesn't."""
    group: str
    """Samples of one group are never in different splits and never serve as each other's negatives."""


class QuestionJson(ImageJson):
    """KEY.json of one question about a picture."""

    question_id: str
    """The source's own id, which its result file uses."""
    answers: list[str]
    """Correct answers, the best first; empty if the source withholds them."""
    answer_scores: list[float]
    """The score of each, 0 to 1: in VQA min(n / 3, 1) if n people gave it, else 1."""


def parse_image_json(data: bytes | str, *, strict: bool | None = None) -> ImageJson:
    """Parses KEY.json of a picture: a QuestionJson if it has a question. ValidationError if it is neither."""
    try:
        asked = "question_id" in json.loads(data)
    except (ValueError, TypeError):
        asked = False
    return (QuestionJson if asked else ImageJson).model_validate_json(data, strict=strict)


ANSWERS_NAME = "answers.json"

AGREEING = 3
"""How many people must give an answer for the full score."""

_ARTICLE = re.compile(r"\b(a|an|the)\b")


def vqa_score(n_people: int) -> float:
    """The score of an answer that n of ten people gave: min(n / 3, 1), the published rule."""
    return min(n_people / AGREEING, 1.0)


def normal_answer(answer: str) -> str:
    """The form in which answers are compared: lower case, without articles, outer spaces and a final full stop.

    VQA's own evaluation also normalises contractions and numbers; here they stay as written.
    """
    return " ".join(_ARTICLE.sub(" ", str(answer).lower().strip().rstrip(".")).split()) or str(answer).lower().strip()


def read_answers(text: str) -> list[str]:
    """The classes of an answers.json. ValueError if it is not valid."""
    classes = json.loads(text)
    if not isinstance(classes, list) or not classes or not all(isinstance(answer, str) for answer in classes):
        raise ValueError("is not a list of answers")
    if len(set(classes)) < len(classes):
        raise ValueError("names an answer twice")
    return classes
