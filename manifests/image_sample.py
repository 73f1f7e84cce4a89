"""A sample of an image-text set: `KEY.jpg KEY.txt KEY.json`, and the fields of its KEY.json.

The manifest of such a set has `kind: image`. Keys of img2dataset come first, so that its readers find theirs; every
KEY.json has every key, each with one type and never null. If there are questions about a picture (VQA, NLVR2, SNLI-VE),
each sample is one question: its caption is the question, and KEY.json has the fields of `QuestionJson` too.
"""

import json

from pydantic import BaseModel, ConfigDict

from manifests.version import SCHEMA_VERSION

IMAGE_KIND = "image"
"""`kind` in the manifest of an image-text set."""

IMAGE_MEMBERS = ("jpg", "txt", "json")

SECOND_MEMBER = "mjpg"
"""The second picture of a question about two (NLVR2's right one): one JPEG, in the extension for several JPEGs."""


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
    """KEY.json of one question about a picture, or about two."""

    question_id: str
    """The source's own id, which its result file uses."""
    answers: list[str]
    """Correct answers, the best first; empty if the source withholds them."""
    answer_scores: list[float]
    """The score of each, 0 to 1: in VQA min(n / 3, 1) if n people gave it, else 1."""
    second_file_name: str
    """The name of the picture in KEY.mjpg; "" if the question is about one picture."""


def parse_image_json(data: bytes | str, *, strict: bool | None = None) -> ImageJson:
    """Parses KEY.json of a picture: a QuestionJson if it has a question. ValidationError if it is neither."""
    try:
        asked = "question_id" in json.loads(data)
    except (ValueError, TypeError):
        asked = False
    return (QuestionJson if asked else ImageJson).model_validate_json(data, strict=strict)
