"""Files of multiple choice: a video and the texts of which one is its own (MSRVTT-MC).

[{"video": "video7010.mp4", "caption": ["a dog runs", …], "answer": 2}, …]     as a list, or as lines
{"clip_name": "video7010", "options": ["a dog runs", …], "answer": "2", "qid": …}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from train.annotations.files import Content, read_content, video_name, words_of


@dataclass(frozen=True, slots=True)
class Choice:
    """A video, the texts to choose from, and the number of the right one (from 0)."""

    video: str
    options: tuple[str, ...]
    answer: int


def are_choices(content: Content) -> bool:
    """Whether a file's content is of multiple choice: a list whose first entry has texts and the number of one."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and "answer" in first and isinstance(_options(first), list)


def read_choices(path: Path) -> list[Choice]:
    """The questions of a file, in its order. UserError names the entry that is none."""
    content = read_content(path)
    if not are_choices(content):
        raise UserError(f"{path}: is no file of multiple choice: a list with video, caption (several) and answer")
    assert isinstance(content, list)
    choices = []
    for number, entry in enumerate(content, 1):
        try:
            choices.append(_choice_of(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path}: entry {number} is no choice of a text ({type(error).__name__}: {error})"
            ) from None
    return choices


def _choice_of(entry: Mapping[str, Any]) -> Choice:
    options, answer = tuple(words_of(text) for text in _options(entry)), int(entry["answer"])
    if not 0 <= answer < len(options):
        raise ValueError(f"answer {answer} of {len(options)}")
    return Choice(video_name(entry["video"] if "video" in entry else entry["clip_name"]), options, answer)


def _options(entry: Mapping[str, Any]) -> Any:
    return entry["options"] if "options" in entry else entry.get("caption")
