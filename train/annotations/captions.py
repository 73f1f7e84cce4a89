"""Caption files of the retrieval benchmarks, in the formats in which they are published.

    format       file                                                  a query is
    msrvtt       MSRVTT_JSFUSION_test.csv (1k-A), MSRVTT_data.json     a sentence
    didemo       test_data.json                                        all descriptions of a video, in their order
    lsmdc        LSMDC16_challenge_1000_publictect.csv                 a sentence
    activitynet  val_1.json                                            all sentences of a video
    jsonl        one {"clip_id": …, "text": … or [… , …]} per line     a text; a list holds several texts of one clip

`auto` detects the format from the content. Videos have the names that the files give them, without a suffix.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from manifests.errors import UserError

Format = Literal["auto", "msrvtt", "didemo", "lsmdc", "activitynet", "jsonl"]

MAX_FILE_BYTES = 1 << 30
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".3gp", ".mpg", ".wmv")
"""Suffixes that are dropped from published names; the file that is there may have a different suffix."""


@dataclass(frozen=True, slots=True)
class Query:
    """One text and the video that it was written for."""

    video: str
    text: str


def read_queries(path: Path, form: Format = "auto") -> list[Query]:
    """The queries of a caption file, in its order. UserError says what is wrong, and in which line or key if known."""
    text = _text_of(path)
    chosen = _form_of(path, text) if form == "auto" else form
    try:
        queries = list(_READERS[chosen](text))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path}: is not a file of format {chosen} ({type(error).__name__}: {error}); name another with --format"
        ) from None
    kept = [query for query in queries if query.video and query.text]
    if not kept:
        raise UserError(f"{path}: holds no caption (read as {chosen}); name its format with --format")
    return kept


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{path}: {path.stat().st_size} bytes are too many for a caption file")
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _form_of(path: Path, text: str) -> Format:
    """Detects the format from a file's content. UserError if it is no known format."""
    start = text.lstrip()[:1]
    if start in ("{", "["):
        return _json_form(path, text)
    first = text.split("\n", 1)[0]
    if first.count("\t") >= 5:
        return "lsmdc"
    if "," in first and {"video_id", "sentence"} <= set(_cells(first)):
        return "msrvtt"
    raise UserError(f"{path}: is in none of the formats {', '.join(_READERS)}; see hdvila-train eval --help")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def _json_form(path: Path, text: str) -> Format:
    try:
        document = json.loads(text)
    except ValueError:
        return "jsonl"  # several lines don't parse as a document; the jsonl reader reports a damaged file
    if isinstance(document, list):
        return "didemo"
    if not isinstance(document, dict):
        raise UserError(f"{path}: holds {type(document).__name__}, no captions")
    if "sentences" in document and "videos" in document:
        return "msrvtt"
    return "jsonl" if "clip_id" in document else "activitynet"


def _msrvtt(text: str) -> Iterable[Query]:
    if text.lstrip().startswith("{"):
        for sentence in json.loads(text)["sentences"]:
            yield Query(_name(sentence["video_id"]), _words(sentence["caption"]))
        return
    for row in csv.DictReader(io.StringIO(text)):
        yield Query(_name(row["video_id"]), _words(row["sentence"]))


def _didemo(text: str) -> Iterable[Query]:
    return _paragraphs((entry["video"], [entry["description"]]) for entry in json.loads(text))


def _lsmdc(text: str) -> Iterable[Query]:
    """Tab-separated: clip, four times, the sentence (which may hold tabs in some copies)."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < 6:
            raise ValueError(f"line {number} has {len(cells)} tab-separated fields of 6")
        yield Query(_name(cells[0]), _words(" ".join(cells[5:])))


def _activitynet(text: str) -> Iterable[Query]:
    return _paragraphs((name, entry["sentences"]) for name, entry in json.loads(text).items())


def _jsonl(text: str) -> Iterable[Query]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            texts = entry["text"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f'line {number} is not {{"clip_id": …, "text": …}}') from None
        for text in [texts] if isinstance(texts, str) else texts:
            yield Query(_name(entry["clip_id"]), _words(text))


def _paragraphs(parts: Iterable[tuple[str, Sequence[str]]]) -> Iterable[Query]:
    """One query per video: its sentences, joined in order."""
    of_video: dict[str, list[str]] = {}
    for video, sentences in parts:
        of_video.setdefault(_name(video), []).extend(_words(sentence) for sentence in sentences)
    return [Query(video, " ".join(s for s in sentences if s)) for video, sentences in of_video.items()]


def _name(given: Any) -> str:
    """A video's name: the last component of the given path, without a video suffix."""
    name = PurePosixPath(str(given).strip().replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name


def _words(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"a caption is {type(given).__name__} and no text")
    return " ".join(given.split())


_READERS: Mapping[str, Callable[[str], Iterable[Query]]] = {
    "msrvtt": _msrvtt,
    "didemo": _didemo,
    "lsmdc": _lsmdc,
    "activitynet": _activitynet,
    "jsonl": _jsonl,
}


def find_videos(folder: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """`({name: file}, names without a file)`, from all files under the folder, matched by name without suffix."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of videos")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            files.setdefault(path.name[: -len(path.suffix)], path)
    wanted = list(dict.fromkeys(names))
    return {n: files[n] for n in wanted if n in files}, [n for n in wanted if n not in files]
