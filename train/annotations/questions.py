"""Files of questions about videos, in the forms in which they are published.

    task     file                                                      an answer is
    open     MSRVTT-QA: train_qa.json, test_qa.json                    words
             TGIF-QA: Train_frameqa_question.csv                       words
    choice   TGIF-QA: Train_action_question.csv, …_transition_…        one of five texts, by its number from 0
             MSRVTT-MC: [{"video": …, "caption": [five], "answer": 2}] one of five texts, without a question
             {"clip_name": …, "options": [five], "answer": "2", "qid": …}

JSON may be a list or lines; what TGIF-QA calls CSV has tabs. The task is found from the content.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from manifests.errors import UserError
from train.annotations.files import Content, read_content, video_name, words_of

Task = Literal["open", "choice"]
VIDEO_KEYS = ("gif_name", "video", "video_id", "clip_name", "clip_id")
ID_KEYS = ("id", "question_id", "qid", "vid_id")
"""Where files name a question. TGIF-QA's `vid_id` is a question's (ACTION16), and its `key` is the film's."""
FRAMEQA_KINDS = ("object", "number", "color", "location")
"""What the numbers in TGIF-QA's column `type` stand for."""
QUESTION_WORDS = ("what", "who", "how", "where", "when")
"""The first words by which MSRVTT-QA's answers are also scored."""
_WORD = re.compile(r"\w+")
LOOKED_FOR = (
    "a table with gif_name, question and answer (TGIF-QA), or JSON with a video, its question or several captions "
    "(options), and the answer (MSRVTT-QA, MSRVTT-MC)"
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a video, and its right answer."""

    id: int | str
    """Its name in the file; where the file gives none, its number there, from 0."""
    video: str
    text: str
    """What is asked; "" where a text has to be chosen and nothing is asked (MSRVTT-MC)."""
    answer: str | int | None
    """Words, or the number of an option (from 0); None if it is kept back."""
    options: tuple[str, ...] = ()
    kind: str = ""
    """Of an open question, what it asks for: object, number … (TGIF-QA), what, who … (MSRVTT-QA)."""

    @property
    def readings(self) -> tuple[str, ...]:
        """The texts that a model reads with the video: the question with each option, or the question alone."""
        return tuple(f"{self.text} {option}".strip() for option in self.options) or (self.text,)


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a file, in its order."""

    task: Task
    all: tuple[Question, ...]

    def commonest(self, most: int) -> list[str]:
        """The answers that are given most often, up to `most` of them; among equally frequent, the earlier."""
        counts = Counter(question.answer for question in self.all if question.answer is not None)
        return [str(answer) for answer, _ in counts.most_common(most)]


def are_questions(content: Content) -> bool:
    """Whether a file asks something: in a column, or as a key of its first entry."""
    return "question" in _names(content)


def are_choices(content: Content) -> bool:
    """Whether a file is of multiple choice without questions: its first entry has texts and the number of one."""
    first = content[0] if isinstance(content, list) and content else None
    several = isinstance(first, dict) and "answer" in first and isinstance(_options(first), list)
    return several and not are_questions(content)


def read_questions(path: Path) -> Questions:
    """The questions of a file. UserError names the entry or line that is none."""
    return questions_of(path, read_content(path))


def questions_of(path: Path, content: Content) -> Questions:
    """The same, of the content of a file that has been read."""
    if not (are_questions(content) or are_choices(content)):
        raise UserError(f"{path}: holds no questions about videos; looked for: {LOOKED_FOR}")
    entries, what, first = (_table(path, content), "line", 2) if isinstance(content, str) else (content, "entry", 1)
    task = _task_of(entries[0]) if isinstance(entries, list) and entries else None
    if task is None:
        raise UserError(f"{path}: holds no question")
    read: list[Question] = []
    for number, entry in enumerate(entries):
        try:
            read.append(_question_of(entry, number, task))
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {what} {number + first} is no question of task {task}: {error}") from None
    names = {question.id for question in read}
    if len(names) < len(read):
        raise UserError(f"{path}: {len(read) - len(names)} questions have the id of another")
    return Questions(task, tuple(read))


def _table(path: Path, content: str) -> list[Any]:
    """The rows of a table by column. Between tabs nothing is quoted: a question may hold a quotation mark."""
    tabs = "\t" in content.split("\n", 1)[0]
    text = io.StringIO(content)
    rows = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.DictReader(text)
    try:
        return list(rows)
    except csv.Error as error:
        raise UserError(f"{path}: line {rows.line_num} is no row of a table ({error})") from None


def _names(content: Content) -> set[str]:
    """The columns of a table, or the keys of the first entry of a list."""
    if isinstance(content, str):
        head = content.split("\n", 1)[0]
        return {cell.strip() for cell in head.split("\t" if "\t" in head else ",")}
    first = content[0] if isinstance(content, list) and content else content
    return set(first) if isinstance(first, dict) else set()


def _task_of(entry: Any) -> Task | None:
    if not isinstance(entry, Mapping):
        return None
    return "open" if _options(entry) is None else "choice"


def _question_of(entry: Any, number: int, task: Task) -> Question:
    if not isinstance(entry, Mapping):
        raise TypeError(f"it is {type(entry).__name__} instead of an object")
    if None in entry or None in entry.values():
        raise ValueError("it has more or fewer columns than the header, or a null")
    video, text = _video_of(entry), words_of(entry.get("question", ""))
    if not text and task != "choice":
        raise ValueError("its question is empty")
    given = next((entry[key] for key in ID_KEYS if entry.get(key) not in (None, "")), number)
    name = given if isinstance(given, int) else words_of(given)
    return Question(name, video, text, *_answer_of(entry, task), _kind_of(entry, text) if task == "open" else "")


def _video_of(entry: Mapping[str, Any]) -> str:
    """The video that an entry is about; MSRVTT-QA's number 6513 is video6513. ValueError if it names none."""
    given = next((entry[key] for key in VIDEO_KEYS if key in entry), None)
    if isinstance(given, bool) or not isinstance(given, int | str) or not str(given).strip():
        raise ValueError(f"it names no video ({', '.join(VIDEO_KEYS)})")
    return f"video{given}" if isinstance(given, int) else video_name(given)


def _answer_of(entry: Mapping[str, Any], task: Task) -> tuple[str | int | None, tuple[str, ...]]:
    """(the answer, the options to choose from)."""
    answer = entry.get("answer")
    given = None if answer is None or answer == "" else answer
    if task == "open":
        return (None if given is None else words_of(given)), ()
    number = None if given is None else _whole(given)
    options = tuple(words_of(text) for text in _options(entry) or ())
    if len(options) < 2 or not all(options):
        raise ValueError("it has fewer than two texts to choose from, or an empty one")
    if number is not None and not 0 <= number < len(options):
        raise ValueError(f"answer {number} of {len(options)}")
    return number, options


def _whole(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise TypeError(f"its answer is {type(given).__name__} and no whole number")
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"its answer {str(given)[:40]!r} is no whole number") from None


def _options(entry: Mapping[str, Any]) -> Sequence[Any] | None:
    """The texts to choose from: a list, or the columns a1, a2 …; None if the entry has none."""
    columns = [key for key in entry if isinstance(key, str) and key[:1] == "a" and key[1:].isdigit()]
    if columns:
        return [entry[key] for key in sorted(columns, key=lambda key: int(key[1:]))]
    given = entry.get("options", entry.get("caption"))
    return given if isinstance(given, list) else None


def _kind_of(entry: Mapping[str, Any], text: str) -> str:
    given = entry.get("answer_type", entry.get("type"))
    if isinstance(given, str) and given.isdigit() and "gif_name" in entry:
        return FRAMEQA_KINDS[int(given)] if int(given) < len(FRAMEQA_KINDS) else given
    if isinstance(given, str) and given:
        return given
    first = _WORD.match(text.casefold())
    return first[0] if first and first[0] in QUESTION_WORDS else ""
