"""The line of words in the search box: which clips or videos are shown, in which order, as one statement of SQL.

    category:Sports words:>5 -flag:boilerplate "exact text" sort:-words

A word of the form `name:value` asks for a column, with `,` between several values of which one has to be right, a `-`
before it for all others, and `>`, `>=`, `<`, `<=` or `3..8` for numbers. Any other word, and what stands in quotes, has
to be in the sentence (of videos: in the title), whatever its case. `""` within quotes stands for `"`. Three words say
how it is shown: `of:videos`, `sort:name` (`sort:-name` from the largest), `group:name`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.errors import UserError


@dataclass(frozen=True, slots=True)
class Field:
    """What a name asks for. `columns`: of the views, one of which has to have the value; `kind`: is, number, has (text
    within text) or list (one of a list). `has_facet`: its values are listed with their counts.
    """

    columns: tuple[str, ...]
    kind: str
    what: str
    has_facet: bool = False
    of_videos: bool = True


FIELDS: dict[str, Field] = {
    "status": Field(("status",), "is", "kept, rejected, or waiting for a decision", True),
    "reason": Field(("reason",), "is", "why it was rejected", True),
    "category": Field(("category",), "is", "the category", True),
    "channel": Field(("channel_id", "channel"), "is", "a channel, by id or name", True),
    "licence": Field(("license",), "is", "the licence, as the site names it", True),
    "language": Field(("language",), "is", "of the captions", True),
    "captions": Field(("caption_kind",), "is", "manual, auto or manual_aligned", True),
    "year": Field(("year",), "number", "of the upload; 0: not known", True),
    "split": Field(("split",), "is", "train, val or test", True, False),
    "flag": Field(("flags",), "list", "a remark of the pipeline on the clip", True, False),
    "generation": Field(("generation",), "number", "of the shards", True, False),
    "shard": Field(("shard",), "is", "path of the tar", True, False),
    "stage": Field(("stage",), "is", "where it was rejected"),
    "seconds": Field(("seconds",), "number", "length"),
    "words": Field(("words",), "number", "words of the sentence", of_videos=False),
    "motion": Field(("motion",), "number", "mean change between frames", of_videos=False),
    "confidence": Field(("confidence",), "number", "of the alignment", of_videos=False),
    "height": Field(("height",), "number", "lines of the picture", of_videos=False),
    "fps": Field(("fps",), "number", "frames a second", of_videos=False),
    "codec": Field(("codec",), "is", "of the video track", of_videos=False),
    "title": Field(("title",), "has", "a text within the title"),
    "detail": Field(("detail",), "has", "a text within the rejection's detail"),
    "video": Field(("video_id",), "is", "a video's id"),
    "clip": Field(("clip_id", "key"), "is", "a clip's id or key", of_videos=False),
}
TEXT = Field(("text",), "has", "a text within the sentence", of_videos=False)
SHOWN = ("of", "sort", "group")
_TERM = re.compile(r'(-)?(?:([A-Za-z_]+):)?((?:"(?:[^"]|"")*(?:"|$)|[^\s"])*)')
_PIECE = re.compile(r'((?:"(?:[^"]|"")*(?:"|$)|[^",])*)(,|$)')
_NUMBER = r"-?\d{1,12}(?:\.\d{1,6})?"
_BOUND = re.compile(rf"(>=|<=|>|<)?({_NUMBER})|({_NUMBER})\.\.({_NUMBER})")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters that cannot be written."""
MOST_CHARACTERS, MOST_TERMS, MOST_ALIKE = 2000, 50, 24


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `name`: of FIELDS, or "" for a text in the sentence."""

    name: str
    values: tuple[str, ...]
    is_not: bool = False

    def __str__(self) -> str:
        said = ",".join(map(_quoted, self.values)) if self.name else _quoted(self.values[0], always=True)
        return f"{'-' if self.is_not else ''}{self.name + ':' if self.name else ''}{said}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line asks for. `sort`: a name of FIELDS, "" for the order of the ids."""

    terms: tuple[Term, ...] = ()
    of: str = "clips"
    sort: str = ""
    is_descending: bool = False
    group: str = ""

    def __str__(self) -> str:
        """The line that asks for this."""
        shown = [("of", self.of if self.of != "clips" else ""), ("group", self.group)]
        shown += [("sort", f"{'-' if self.is_descending else ''}{self.sort}" if self.sort else "")]
        return " ".join([*map(str, self.terms), *(f"{name}:{_quoted(value)}" for name, value in shown if value)])

    def with_term(self, name: str, value: str) -> Asked:
        """The same, and this column has this value."""
        other = tuple(term for term in self.terms if term.name != name or term.is_not)
        return replace(self, terms=(*other, Term(name, (value,))), group="")

    @property
    def texts(self) -> list[str]:
        """Texts that each sentence has to have."""
        return [term.values[0] for term in self.terms if not term.name and not term.is_not]


def read_line(line: str) -> Asked:
    """What a line asks for. UserError names the word that is wrong, and what there is in its place."""
    if len(line) > MOST_CHARACTERS:
        raise UserError(f"the line has more than {MOST_CHARACTERS} characters")
    asked = Asked()
    for minus, name, value in _TERM.findall(_UNSEEN.sub(" ", line)):
        if not name and not value:
            continue
        if name.lower() in SHOWN:
            asked = _shown(asked, name.lower(), _plain(value))
            continue
        if name and name.lower() not in FIELDS:
            raise _no_name(name.lower(), f"{name}:{value}")
        values = tuple(map(_plain, _split(value))) if name else (_plain(value),)
        term = Term(name.lower(), tuple(filter(None, values)) or ("",), bool(minus))
        asked = replace(asked, terms=(*asked.terms, term))
    if len(asked.terms) > MOST_TERMS:
        raise UserError(f"the line has more than {MOST_TERMS} words")
    for term in asked.terms:
        _condition(term, asked.of)
    for name in filter(None, (asked.sort, asked.group)):
        _field(name, asked.of)
    return asked


def _shown(asked: Asked, name: str, value: str) -> Asked:
    if name == "of" and value not in ("clips", "videos"):
        raise UserError(f"of:{value}: there are of:clips and of:videos")
    if name == "sort":
        return replace(asked, sort=value.lstrip("-").lower(), is_descending=value.startswith("-"))
    return replace(asked, of=value) if name == "of" else replace(asked, group=value.lower())


def _no_name(name: str, word: str) -> UserError:
    near = difflib.get_close_matches(name, [*FIELDS, *SHOWN], n=1)
    hint = f"did you mean {near[0]}:?" if near else f"there are {', '.join([*FIELDS, *SHOWN])}"
    return UserError(f'{word}: nothing is called {name}; {hint} (a text stands in quotes: "{word}")')


def _field(name: str, of: str) -> Field:
    if name not in FIELDS:
        raise _no_name(name, f"{name}:")
    if of == "videos" and not FIELDS[name].of_videos:
        raise UserError(f"{name}: is known of clips, and of:videos asks for videos")
    return FIELDS[name]


def _split(value: str) -> list[str]:
    return [piece for piece, _ in _PIECE.findall(value)]


def _plain(value: str) -> str:
    """A value without its quotes."""
    inside = re.compile(r'"((?:[^"]|"")*)(?:"|$)')
    return inside.sub(lambda match: match[1].replace('""', '"'), value)


def _quoted(value: str, always: bool = False) -> str:
    if value and not always and re.fullmatch(r"[^\s\",]+", value):
        return value
    return '"' + value.replace('"', '""') + '"'


# SQL

Sql = tuple[str, list[Any]]
"""A text with question marks, and what they stand for."""


def _condition(term: Term, of: str) -> Sql:
    field = _field(term.name, of) if term.name else TEXT
    if not term.name and of == "videos":
        field = FIELDS["title"]
    each = {"is": _is, "has": _has, "list": _in_list, "number": _number}[field.kind]
    made = [each(column, value, term.name) for value in term.values for column in field.columns]
    text = " OR ".join(text for text, _ in made)
    text = text if len(made) == 1 else f"({text})"
    return f"NOT {text}" if term.is_not else text, [value for _, values in made for value in values]


def _is(column: str, value: str, name: str) -> Sql:
    return f"lower({column}) = lower(?)", [value]


def _has(column: str, value: str, name: str) -> Sql:
    return f"contains(lower({column}), lower(?))", [value]


def _in_list(column: str, value: str, name: str) -> Sql:
    return f"list_contains({column}, ?)", [value]


def _number(column: str, value: str, name: str) -> Sql:
    match = _BOUND.fullmatch(value)
    if match is None:
        raise UserError(f"{name}:{value}: takes a number, as {name}:8, {name}:>8, {name}:<=8 or {name}:3..8")
    if match[3]:
        return f"{column} BETWEEN ? AND ?", [float(match[3]), float(match[4])]
    return f"{column} {match[1] or '='} ?", [float(match[2])]


def where(asked: Asked) -> Sql:
    """The condition of a statement, "true" without one."""
    made = [_condition(term, asked.of) for term in asked.terms]
    return " AND ".join(text for text, _ in made) or "true", [value for _, values in made for value in values]


def order(asked: Asked) -> str:
    """The order of a statement; the same for every run."""
    by_id = "video_id, n"
    return f"{FIELDS[asked.sort].columns[0]}{' DESC' if asked.is_descending else ''}, {by_id}" if asked.sort else by_id


def view_of(asked: Asked) -> str:
    """The view that is asked."""
    return f"all_{asked.of}"


def inlined(text: str, values: Sequence[Any]) -> str:
    """The same statement without question marks, to copy."""
    pieces = text.split("?")
    literals = [f"{v:.6f}".rstrip("0").rstrip(".") if isinstance(v, float) else _literal(v) for v in values]
    return "".join(piece + literal for piece, literal in zip(pieces, [*literals, ""], strict=True))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def equal_statement(asked: Asked) -> str:
    """The statement of `hdvila-pipeline sql` that gives the same rows in the same order."""
    condition = inlined(*where(asked))
    if asked.group:
        column = FIELDS[asked.group].columns[0]
        source = f"(SELECT unnest({column}) AS {column} FROM {view_of(asked)} WHERE {condition})"
        source = source if FIELDS[asked.group].kind == "list" else f"{view_of(asked)} WHERE {condition}"
        return f"SELECT {column}, count(*) AS {asked.of} FROM {source} GROUP BY ALL ORDER BY 2 DESC, 1"
    columns = "clip_id, status, reason, text" if asked.of == "clips" else "video_id, status, reason, title"
    return f"SELECT {columns} FROM {view_of(asked)} WHERE {condition} ORDER BY {order(asked)}"


def like_statement(clip_id: str) -> Sql:
    """The clips whose middle picture differs in the fewest of the 64 bits of its hash (pipeline/media/phash.py), as
    (id, bits), the clip itself first; no row if it has no hash.
    """
    middle = "3 + 160 * (((octet_length(phashes) - 1) // 80) // 2)"
    text = (
        f"WITH looks AS (SELECT clip_id, ('0x' || substr(hex(phashes), {middle}, 16))::UBIGINT AS look FROM packs"
        " WHERE octet_length(phashes) > 80 AND status = 'success')"
        " SELECT l.clip_id, bit_count(xor(l.look, this.look)) AS bits"
        " FROM looks l, (SELECT look FROM looks WHERE clip_id = ? LIMIT 1) this"
        f" ORDER BY bits, l.clip_id <> ?, l.clip_id LIMIT {MOST_ALIKE}"
    )
    return text, [clip_id, clip_id]
