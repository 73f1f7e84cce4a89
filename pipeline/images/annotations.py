"""Reads published caption files: each format as an iterator of pictures with their captions.

    coco      captions_*.json: {"images": [{id, file_name, …}], "annotations": [{image_id, caption}], "licenses": […]}
    soho      a list of {file_name, image_id, captions: […]}
    vg        Visual Genome's region_descriptions.json: a list of {id, regions: [{phrase, …}]}
    flickr    a token file: lines `NAME.jpg#0<TAB>caption`

The files are untrusted: anything missing or of another type gives a message that names the place.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from manifests.errors import UserError

Format = Literal["coco", "soho", "vg", "flickr", "vqa"]
"""The last three are questions about pictures: questions.py."""

MAX_BYTES = 2 * 2**30
"""Largest annotation file; Visual Genome's regions are 700 MB."""

MAX_CAPTION_CHARACTERS = 2000
"""Longer captions are cut: no model reads further, and a page pasted by mistake would fill the rows."""

_TOKEN_LINE = re.compile(r"([^\t#]+)#\w+\t(.*)")
_SPACES = re.compile(r"\s+")
_SURROGATE = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture. The question itself is the picture's caption."""

    question_id: str
    answers: tuple[tuple[str, float], ...]
    """(right answer, its score of 0 to 1), the best first; none if they are not published."""
    number: int = 0
    """Number of the question among those about the same picture."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """One picture as described by its source. `captions` are stripped, without repeats; there may be none."""

    image_id: str
    file_name: str
    captions: tuple[str, ...]
    url: str = ""
    licence: str = ""
    question: Question | None = None


def read_annotations(path: Path, kind: Format | None = None) -> tuple[Format, list[Captioned]]:
    """Returns (format, pictures in the order of the file). Without `kind` the format is detected from the content.

    Raises UserError for a file that is missing, too large, or not of the format. A picture listed twice gets the
    captions of both.
    """
    text = text_of(path)
    if kind == "flickr" or (kind is None and text.lstrip()[:1] not in ("{", "[")):
        return "flickr", _joined(_flickr(path, text))
    try:
        document = parsed(text)
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply for captions; use COCO JSON, a list, or a token file") from None
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error}); use COCO JSON, a list, or a token file") from None
    kind = kind or _kind_of(path, document)
    readers: dict[str, Callable[[Any], Iterator[Captioned]]] = {"coco": _coco, "soho": _soho, "vg": _visual_genome}
    try:
        return kind, _joined(readers[kind](document))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as {kind} captions ({type(error).__name__}: {error})") from None


def parsed(text: str) -> Any:
    """A JSON document. Half a surrogate pair, which JSON can name and no file can hold, becomes a question mark."""
    document = json.loads(text)
    if _SURROGATE.search(text):
        document = json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    return document


def text_of(path: Path) -> str:
    """Reads an annotation file's text. Raises UserError if it cannot be read or is too large."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: is larger than {MAX_BYTES // 2**30} GiB; split it first")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such annotation file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _kind_of(path: Path, document: Any) -> Format:
    if isinstance(document, dict) and {"images", "annotations"} <= document.keys():
        return "coco"
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, dict) and "captions" in first:
        return "soho"
    if isinstance(first, dict) and "regions" in first:
        return "vg"
    raise UserError(
        f"{path}: is neither COCO captions (images, annotations), a list with captions, nor a list with regions"
    )


def _coco(document: Mapping[str, Any]) -> Iterator[Captioned]:
    licences = {item["id"]: str(item.get("name") or item.get("url") or "") for item in document.get("licenses", [])}
    captions: dict[Any, list[str]] = {}
    for annotation in document["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(str(annotation["caption"]))
    for image in document["images"]:
        url = str(image.get("coco_url") or image.get("flickr_url") or "")
        licence = licences.get(image.get("license"), "")
        name = str(image["file_name"])
        yield Captioned(str(image["id"]), name, clean(captions.get(image["id"], [])), url, licence)


def _soho(document: list[Mapping[str, Any]]) -> Iterator[Captioned]:
    for item in document:
        captions = [str(caption) for caption in item["captions"]]
        yield Captioned(str(item["image_id"]), str(item["file_name"]), clean(captions))


def _visual_genome(document: list[Mapping[str, Any]]) -> Iterator[Captioned]:
    for item in document:
        image_id = item.get("id", item.get("image_id"))
        phrases = [str(region["phrase"]) for region in item["regions"]]
        yield Captioned(str(image_id), f"{image_id}.jpg", clean(phrases))


def _flickr(path: Path, text: str) -> Iterator[Captioned]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _TOKEN_LINE.fullmatch(line)
        if match is None:
            raise UserError(f"{path}: line {number} is not `NAME.jpg#0<TAB>caption`: {line[:60]!r}")
        name = match[1].strip()
        yield Captioned(Path(name).stem, name, clean([match[2]]))


def clean(captions: list[str]) -> tuple[str, ...]:
    """Captions on one line each, in order, without empty ones and repeats."""
    lines = (_SPACES.sub(" ", caption).strip()[:MAX_CAPTION_CHARACTERS] for caption in captions)
    return tuple(dict.fromkeys(line for line in lines if line))


def _joined(pictures: Iterator[Captioned]) -> list[Captioned]:
    """Merges entries of the same picture, if a file lists it several times."""
    merged: dict[str, Captioned] = {}
    for picture in pictures:
        before = merged.get(picture.image_id)
        if before is not None:
            captions = tuple(dict.fromkeys(before.captions + picture.captions))
            picture = Captioned(before.image_id, before.file_name, captions, before.url, before.licence)
        merged[picture.image_id] = picture
    return list(merged.values())
