"""The line of words in the search box: which clips or videos are shown, in which order, as one statement of SQL.

    category:Sports words:>5 -flag:profanity "exact text" sort:-words

A word of the form `name:value` asks for a column, with `,` between several values of which one has to be right, a `-`
before it for all others, and `>`, `>=`, `<`, `<=`, `3..8` or `3..<8` for numbers (`10%`: the one that a tenth of all
lie below). Any other word, and what stands in quotes, has to be in the sentence (of videos: in the title), whatever its
case. `""` within quotes stands for `"`. Three words say how it is shown: `of:videos`, `sort:name` (`sort:-name` from
the largest), `group:name`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from manifests.errors import UserError
from pipeline.media.phash import HASH_BYTES, N_HASHES, VERSION


@dataclass(frozen=True, slots=True)
class Field:
    """What a name asks for. `columns`: of the views, in SQL, one of which has to have the value; `kind`: is, number,
    has (text within text) or list (one of a list). `has_facet`: its values are listed with their counts.
    """

    columns: tuple[str, ...]
    kind: str
    what: str
    has_facet: bool = False
    of_videos: bool = True
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of a number that is counted between edges, which: of clips and of videos."""


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
    "motion": Field(("nullif(motion, -1)",), "number", "% of the short side in half a second", of_videos=False),
    "blur": Field(("nullif(blur, -1)",), "number", "0 (sharp) to 1", of_videos=False),
    "text_share": Field(("nullif(text_share, -1)",), "number", "of the picture that text takes", of_videos=False),
    "entropy": Field(("nullif(entropy, -1)",), "number", "of the brightness, bits", of_videos=False),
    "confidence": Field(("confidence",), "number", "of the alignment", of_videos=False),
    "speech": Field(("nullif(speech_share, -1)",), "number", "share of the time in which is spoken", of_videos=False),
    "height": Field(("height",), "number", "lines of the picture", of_videos=False),
    "fps": Field(("fps",), "number", "frames a second", of_videos=False),
    "codec": Field(("codec",), "is", "of the video track", of_videos=False),
    "title": Field(("title",), "has", "a text within the title"),
    "detail": Field(("detail",), "has", "a text within the rejection's detail"),
    "video": Field(("video_id",), "is", "a video's id"),
    "clip": Field(("clip_id", "key"), "is", "a clip's id or key", of_videos=False),
}
TEXT = Field(("text",), "has", "a text within the sentence", of_videos=False)
BINNED = {"clips": ("seconds", "words", "motion", "confidence", "speech"), "videos": ("seconds",)}
"""Numbers that are counted between edges."""
Fields = Mapping[str, Field]
SHOWN = ("of", "sort", "group")
_TERM = re.compile(r'(-)?(?:([A-Za-z_][A-Za-z0-9_]*):)?((?:"(?:[^"]|"")*(?:"|$)|[^\s"])*)')
_PIECE = re.compile(r'((?:"(?:[^"]|"")*(?:"|$)|[^",])*)(,|$)')
_NUMBER = r"-?\d{1,12}(?:\.\d{1,6})?%?"
_BOUND = re.compile(rf"(>=|<=|>|<)?({_NUMBER})|({_NUMBER})\.\.(<?)({_NUMBER})")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters that cannot be written."""
MOST_CHARACTERS, MOST_TERMS, MOST_ALIKE = 2000, 50, 24


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `name`: of a field, or "" for a text in the sentence."""

    name: str
    values: tuple[str, ...]
    is_not: bool = False

    def __str__(self) -> str:
        said = ",".join(map(_quoted, self.values)) if self.name else _quoted(self.values[0], always=True)
        return f"{'-' if self.is_not else ''}{self.name + ':' if self.name else ''}{said}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line asks for. `sort`: the name of a field, "" for the order of the ids. `fields`: those there are."""

    terms: tuple[Term, ...] = ()
    of: str = "clips"
    sort: str = ""
    is_descending: bool = False
    group: str = ""
    fields: Fields = field(default_factory=lambda: FIELDS, compare=False, repr=False)

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
    def shown_fields(self) -> Fields:
        """Those that clips, or videos, have."""
        return {name: one for name, one in self.fields.items() if one.of_videos or self.of == "clips"}

    @property
    def faceted(self) -> list[str]:
        """Names of the fields whose values are counted."""
        return [name for name, one in self.shown_fields.items() if one.has_facet or one.edges.get(self.of)]

    @property
    def texts(self) -> list[str]:
        """Texts that each sentence has to have."""
        return [term.values[0] for term in self.terms if not term.name and not term.is_not]


def read_line(line: str, fields: Fields = FIELDS) -> Asked:
    """What a line asks for. UserError names the word that is wrong, and what there is in its place."""
    if len(line) > MOST_CHARACTERS:
        raise UserError(f"the line has more than {MOST_CHARACTERS} characters")
    asked = Asked(fields=fields)
    for minus, name, value in _TERM.findall(_UNSEEN.sub(" ", line)):
        if not name and not value:
            continue
        if name.lower() in SHOWN:
            asked = _shown(asked, name.lower(), _plain(value))
            continue
        if name and name.lower() not in fields:
            raise _no_name(name.lower(), f"{name}:{value}", fields)
        values = tuple(map(_plain, _split(value))) if name else (_plain(value),)
        term = Term(name.lower(), tuple(filter(None, values)) or ("",), bool(minus))
        asked = replace(asked, terms=(*asked.terms, term))
    if len(asked.terms) > MOST_TERMS:
        raise UserError(f"the line has more than {MOST_TERMS} words")
    for term in asked.terms:
        _condition(term, asked)
    for name in filter(None, (asked.sort, asked.group)):
        _field(name, asked)
    return asked


def _shown(asked: Asked, name: str, value: str) -> Asked:
    if name == "of" and value not in ("clips", "videos"):
        raise UserError(f"of:{value}: there are of:clips and of:videos")
    if name == "sort":
        return replace(asked, sort=value.lstrip("-").lower(), is_descending=value.startswith("-"))
    return replace(asked, of=value) if name == "of" else replace(asked, group=value.lower())


def _no_name(name: str, word: str, fields: Fields) -> UserError:
    near = difflib.get_close_matches(name, [*fields, *SHOWN], n=1)
    hint = f"did you mean {near[0]}:?" if near else f"there are {', '.join([*fields, *SHOWN])}"
    return UserError(f'{word}: nothing is called {name}; {hint} (a text stands in quotes: "{word}")')


def _field(name: str, asked: Asked) -> Field:
    if name not in asked.fields:
        raise _no_name(name, f"{name}:", asked.fields)
    if name not in asked.shown_fields:
        raise UserError(f"{name}: is known of clips, and of:videos asks for videos")
    return asked.fields[name]


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


def _condition(term: Term, asked: Asked) -> Sql:
    one = _field(term.name, asked) if term.name else asked.fields["title"] if asked.of == "videos" else TEXT
    if one.kind == "number":
        made = [_number(one.columns[0], value, term.name, view_of(asked)) for value in term.values]
    else:
        each = {"is": "lower({}) = lower(?)", "has": "contains(lower({}), lower(?))", "list": "list_contains({}, ?)"}
        made = [(each[one.kind].format(column), [value]) for value in term.values for column in one.columns]
    text = " OR ".join(text for text, _ in made)
    text = text if len(made) == 1 else f"({text})"
    negated = f"NOT coalesce({text}, false)" if one.kind == "number" else f"NOT {text}"  # what was not measured is null
    return negated if term.is_not else text, [value for _, values in made for value in values]


def _number(column: str, value: str, name: str, view: str) -> Sql:
    match = _BOUND.fullmatch(value)
    if match is None:
        raise UserError(f"{name}:{value}: takes a number, as {name}:8, {name}:>8, {name}:3..8, or a share, {name}:<10%")
    bounds = [(">=", match[3]), (match[4] or "<=", match[5])] if match[3] else [(match[1] or "=", match[2])]
    texts, values = [], []
    for how, bound in bounds:
        number = float(bound.rstrip("%"))
        if is_share := bound.endswith("%"):
            number = min(max(number / 100, 0), 1)
        texts.append(f"{column} {how} {f'(SELECT quantile_cont({column}, ?) FROM {view})' if is_share else '?'}")
        values.append(number)
    return texts[0] if len(texts) == 1 else f"({' AND '.join(texts)})", values


def where(asked: Asked) -> Sql:
    """The condition of a statement, "true" without one."""
    made = [_condition(term, asked) for term in asked.terms]
    return " AND ".join(text for text, _ in made) or "true", [value for _, values in made for value in values]


def order(asked: Asked) -> str:
    """The order of a statement; the same for every run."""
    by_id = "video_id, n"
    column = asked.fields[asked.sort].columns[0] if asked.sort else ""
    return f"{column}{' DESC' if asked.is_descending else ''}, {by_id}" if column else by_id


def value_of(name: str, asked: Asked) -> str:
    """A field's value in SQL as text; each of a list; of a number with edges the word that asks for what lies between
    two of them.
    """
    one = asked.fields[name]
    column, given = one.columns[0], one.edges.get(asked.of, ())
    if not given:
        return f"CAST({f'unnest({column})' if one.kind == 'list' else column} AS VARCHAR)"
    edges, words = [_said(edge) for edge in given], between(given)
    cases = "".join(f" WHEN {column} < {edge} THEN '{word}'" for edge, word in zip(edges, words, strict=False))
    return f"CASE{cases} WHEN {column} >= {edges[-1]} THEN '{words[-1]}' END"


def between(edges: Sequence[float]) -> list[str]:
    """The words that ask for what lies before the first edge, between two, and from the last on."""
    said = [_said(edge) for edge in edges]
    return [f"<{said[0]}", *(f"{a}..<{b}" for a, b in pairwise(said)), f">={said[-1]}"]


def _said(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


def view_of(asked: Asked) -> str:
    """The view that is asked."""
    return f"all_{asked.of}"


def inlined(text: str, values: Sequence[Any]) -> str:
    """The same statement without question marks, to copy."""
    pieces = text.split("?")
    literals = [_literal(value) if isinstance(value, str) else _said(value) for value in values]
    return "".join(piece + literal for piece, literal in zip(pieces, [*literals, ""], strict=True))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def equal_statement(asked: Asked) -> str:
    """The statement of `hdvila-pipeline sql` that gives the same rows in the same order."""
    condition = inlined(*where(asked))
    if asked.group:
        value = value_of(asked.group, asked)
        source = f"{view_of(asked)} WHERE {condition}"
        return f'SELECT {value} AS "{asked.group}", count(*) AS {asked.of} FROM {source} GROUP BY 1 ORDER BY 2 DESC, 1'
    columns = "clip_id, status, reason, text" if asked.of == "clips" else "video_id, status, reason, title"
    return f"SELECT {columns} FROM {view_of(asked)} WHERE {condition} ORDER BY {order(asked)}"


def like_statement(clip_id: str) -> Sql:
    """The clips whose middle picture differs in the fewest of the 64 bits of its hash (pipeline/media/phash.py), as
    (id, bits), the clip itself first; no row if it has no hash.
    """
    size = N_HASHES * HASH_BYTES
    middle = f"{2 * len(VERSION) + 1} + {2 * size} * (((octet_length(phashes) - {len(VERSION)}) // {size}) // 2)"
    text = (
        f"WITH looks AS (SELECT clip_id, ('0x' || substr(hex(phashes), {middle}, 16))::UBIGINT AS look FROM packs"
        f" WHERE octet_length(phashes) > {size} AND hex(phashes) LIKE '{VERSION.hex()}%' AND status = 'success')"
        " SELECT l.clip_id, bit_count(xor(l.look, this.look)) AS bits"
        " FROM looks l, (SELECT look FROM looks WHERE clip_id = ? LIMIT 1) this"
        f" ORDER BY bits, l.clip_id <> ?, l.clip_id LIMIT {MOST_ALIKE}"
    )
    return text, [clip_id, clip_id]
