"""What one sample of an image-text set is: `KEY.jpg KEY.txt KEY.json`, and the fields of its KEY.json.

A manifest of such a set has `kind: image`. Keys of img2dataset stand first, so that its readers find theirs; every
KEY.json has every key, each with one type and never null. Where something is asked about the picture (VQA, NLVR2,
SNLI-VE), a sample is one asking: its caption is the question, and KEY.json has the fields of `QuestionJson` too.
"""

import json

from pydantic import BaseModel, ConfigDict

from manifests.version import SCHEMA_VERSION

IMAGE_KIND = "image"
"""`kind` in the manifest of an image-text set."""

IMAGE_MEMBERS = ("jpg", "txt", "json")

SECOND_MEMBER = "mjpg"
"""The second picture of an asking about two (NLVR2's right one): one JPEG, under the extension of JPEGs in a row."""


class ImageJson(BaseModel):
    """KEY.json of a picture with its captions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    url: str
    """Where the picture came from, "" where that isn't known."""
    caption: str
    """The first of `captions`: what KEY.txt holds."""
    status: str = "success"
    error_message: str = ""
    width: int
    """Of the JPEG here, pixels."""
    height: int
    original_width: int
    original_height: int
    sha256: str
    """Of the picture's file as it was found."""
    schema_version: int = SCHEMA_VERSION
    image_id: str
    """As the source has it."""
    file_name: str
    captions: list[str]
    """At least one; all of the picture as a whole."""
    source: str
    """Name of the annotation file."""
    licence: str
    """Of the picture, as the source names it; "" where it doesn't."""
    group: str
    """Samples of one group never stand in different splits, nor serve as each other's negatives."""


class QuestionJson(ImageJson):
    """KEY.json of one asking about a picture, or about two."""

    question_id: str
    """As the source has it: what its result file names."""
    answers: list[str]
    """Right ones, the best first; none where the source keeps them back."""
    answer_scores: list[float]
    """Of each, 0 to 1: in VQA min(n / 3, 1) of n people who said so, else 1."""
    second_file_name: str
    """Of the picture in KEY.mjpg; "" where the asking is about one."""


def parse_image_json(data: bytes | str, *, strict: bool | None = None) -> ImageJson:
    """KEY.json of a picture; a QuestionJson where something is asked. ValidationError where it is neither."""
    try:
        asked = "question_id" in json.loads(data)
    except (ValueError, TypeError):
        asked = False
    return (QuestionJson if asked else ImageJson).model_validate_json(data, strict=strict)
