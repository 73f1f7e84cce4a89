"""Opens annotation files: JSON, JSON lines or text, in UTF-8, with a limit on their size."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from manifests.errors import UserError

MAX_FILE_BYTES = 1 << 30
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".3gp", ".mpg", ".wmv")
"""Suffixes that are dropped from published names; the file that is there may have a different suffix."""

Content = str | list[Any] | dict[str, Any]
"""A file's text, the entries of a JSON list (or of JSON lines), or a JSON object."""


def read_content(path: Path) -> Content:
    """The content of an annotation file. UserError if it can't be read, isn't text, or is damaged JSON."""
    text = _text_of(path)
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        document = json.loads(text)
    except ValueError as error:
        return _lines_of(path, text, error)
    except RecursionError:
        raise UserError(f"{path}: its JSON is nested too deep for an annotation file") from None
    return [document] if isinstance(document, dict) and "\n" not in text.strip() and _is_entry(document) else document


def _is_entry(document: dict[str, Any]) -> bool:
    """Whether an object is the only line of JSON lines and no document, by its keys."""
    return any(key in document for key in ("clip_id", "clip_name", "video", "videoID", "question"))


def _lines_of(path: Path, text: str, whole: ValueError) -> list[Any]:
    """The entries of JSON lines. UserError names the first line that is none, or where the document breaks off."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    entries = []
    for number, line in lines:
        try:
            entries.append(json.loads(line))
        except (ValueError, RecursionError):
            if number == lines[0][0]:
                raise UserError(f"{path}: is damaged JSON ({whole})") from None
            raise UserError(f"{path}: line {number} is no JSON, as the lines before it are") from None
    return entries


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{path}: {path.stat().st_size} bytes are too many for an annotation file")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        head = data[: data.find(b"\n")]
        if head.count(b"\t") >= 5 and b"question" not in head.split(b"\t"):
            return data.decode("latin-1")  # LSMDC's files are published so; they alone have six columns and no header
        raise UserError(f"{path}: line {line} is not UTF-8; convert the file (iconv -f latin1 -t utf-8)") from None


def video_name(given: Any) -> str:
    """A video's name: the last component of the given path, without a video suffix."""
    name = PurePosixPath(str(given).strip().replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name


def words_of(given: Any) -> str:
    """A text in one line. TypeError if it is none."""
    if not isinstance(given, str):
        raise TypeError(f"a text is expected and {type(given).__name__} is there")
    return " ".join(given.split())


def read_names(path: Path) -> set[str]:
    """The videos that a split's list names: one a line, or the column `video_id` of a CSV (MSRVTT_train.9k.csv)."""
    content = read_content(path)
    if isinstance(content, str):
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        header = [cell.strip() for cell in lines[0].split(",")] if lines else []
        column = header.index("video_id") if "video_id" in header else -1
        given: list[Any] = [line.split(",")[column] for line in lines[1:]] if column >= 0 else list(lines)
    else:
        given = list(content) if isinstance(content, list) else []
    names = {video_name(name) for name in given if isinstance(name, str | int)}
    if not names:
        raise UserError(f"{path}: lists no video; a split's list has a name a line, or a column video_id")
    return names
