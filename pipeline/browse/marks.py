"""What a person marked: clips, videos and channels, with a note, by whom and when. A file of lines beside nothing else.

The file is a person's own and lies outside the data set, which the page only reads. A line adds a mark, or takes one
back (`is_marked` false): of lines on the same thing the last counts. Its exports are what other commands read; nothing
is removed here.
"""

import csv
import fcntl
import getpass
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.errors import UserError

KINDS = {"clip": "clip_id", "video": "video_id", "channel": "channel_id"}
"""What can be marked: by kind, the column that has its id."""
MOST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of the file. `text`: the sentence of a clip, the title of a video, the name of a channel."""

    kind: str
    id: str
    note: str
    text: str
    by: str
    at: str
    is_marked: bool = True


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks in a file, which need not be there yet."""

    path: Path

    def all(self) -> dict[tuple[str, str], Mark]:
        """By kind and id, in the order in which they were made. UserError for a file of something else."""
        marks: dict[tuple[str, str], Mark] = {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
            for line in lines:
                mark = Mark(**json.loads(line))
                marks.pop((mark.kind, mark.id), None)
                if mark.is_marked:
                    marks[mark.kind, mark.id] = mark
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{self.path}: cannot be read as marks ({str(error)[:100]}); name another file") from None
        return marks

    def set(self, row: Mapping[str, Any], kind: str, note: str, *, is_marked: bool) -> None:
        """Marks what a row names, or takes the mark back. UserError if the file cannot be written."""
        text = {"clip": row.get("text"), "video": row["title"], "channel": row["channel"]}[kind]
        at = datetime.now(UTC).replace(microsecond=0).isoformat()
        mark = Mark(kind, row[KINDS[kind]], note[:MOST_NOTE], text or "", getpass.getuser(), at, is_marked)
        append_line(self.path, asdict(mark))


def append_line(path: Path, value: Mapping[str, object]) -> None:
    """Adds a line of JSON to a file that several processes may write. UserError if it cannot be written."""
    try:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(value) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


# exports: by name, the file's name and what it holds

EXPORTS = {
    "ids": ("ids.txt", "videos and channels, for `remove --ids` and `crawl.opt_out`"),
    "sentences": ("sentences.txt", "the sentences of marked clips, for `remove --text`"),
    "where": ("where.txt", "an expression for `data.where`: training without them"),
    "csv": ("marks.csv", "all of it as a table"),
}


def exported(marks: Mapping[tuple[str, str], Mark], name: str) -> str:
    """The file of EXPORTS of this name."""
    of = {kind: [mark for mark in marks.values() if mark.kind == kind] for kind in KINDS}
    if name == "ids":
        return "".join(f"{mark.kind} {mark.id}\n" for mark in (*of["video"], *of["channel"]))
    if name == "sentences":
        return "".join(f"{' '.join(mark.text.split())}\n" for mark in of["clip"])
    if name == "where":
        parts = [
            f"{KINDS[k]} NOT IN ({', '.join(_literal(mark.id) for mark in some)})" for k, some in of.items() if some
        ]
        return (" AND ".join(parts) or "true") + "\n"
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["kind", "id", "note", "text", "by", "at"])
    for mark in marks.values():
        table.writerow(map(_cell, (mark.kind, mark.id, mark.note, mark.text, mark.by, mark.at)))
    return file.getvalue()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
