"""What is wrong with a sample: with a clip's media, decoded and compared with its json, each member by its own rules;
and with a sample of an image-text set.
"""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from manifests.image_sample import IMAGE_MEMBERS, ImageJson, QuestionJson, parse_image_json
from manifests.sample import SampleJson
from manifests.wrong_value import first_fault
from pipeline.media.members import member_of
from pipeline.media.members.proxy import video_faults


def media_faults(sample: SampleJson, members: dict[str, bytes]) -> Iterator[str]:
    """Yields what is wrong with the media of a sample."""
    yield from video_faults("mp4", members["mp4"], sample.first_frame + sample.n_frames, None)
    for extension, data in members.items():
        if member := member_of(extension):
            yield from member.faults(sample, data)


def image_faults(row: Mapping[str, Any], members: dict[str, bytes], *, decode: bool) -> Iterator[str]:
    """Yields each fault in a few words: in members, json, agreement with the row and (if asked) the image itself."""
    missing = [name for name in IMAGE_MEMBERS if name not in members]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    try:
        sample = parse_image_json(members["json"], strict=True)
    except ValidationError as error:
        yield f"json: {first_fault(QuestionJson, error)}"
        return
    missing_keys = type(sample).model_fields.keys() - json.loads(members["json"]).keys()
    if missing_keys:
        yield f"json: has no {', '.join(sorted(missing_keys))}"
    pairs = {"key": sample.key, "video_id": sample.group, "width": sample.width, "height": sample.height}
    for name, value in pairs.items():
        if row[name] != value:
            yield f"{name} is {value!r} in the json, {row[name]!r} in the row"
    if not sample.captions or sample.captions[0] != sample.caption:
        yield "the json's caption is not the first of its captions"
    if members["txt"].decode("utf-8", "replace") != sample.caption or row["caption"] != "\n".join(sample.captions):
        yield "txt, the json's captions and the row's caption are not the same"
    if isinstance(sample, QuestionJson):
        yield from _question_faults(sample)
    if decode:
        yield from _picture_faults(sample, members["jpg"])


def _question_faults(sample: QuestionJson) -> Iterator[str]:
    if len(sample.answers) != len(sample.answer_scores):
        yield f"json: {len(sample.answers)} answers have {len(sample.answer_scores)} scores"


def _picture_faults(sample: ImageJson, data: bytes) -> Iterator[str]:
    picture = _opened(data)
    if isinstance(picture, str):
        yield f"jpg: {picture}"
    elif picture.size != (sample.width, sample.height):
        yield f"jpg: is {picture.size[0]}x{picture.size[1]}, the json says {sample.width}x{sample.height}"


def _opened(data: bytes) -> Image.Image | str:
    """Returns the image, or why it cannot be decoded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=("JPEG",))  # noqa: TID251 - one format
        picture.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        return f"cannot be decoded ({type(error).__name__})"
    return picture
