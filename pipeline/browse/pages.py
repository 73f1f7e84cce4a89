"""The pages as HTML, by templates that escape everything: titles, sentences and reasons come from strangers."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment

from manifests.errors import DamagedFile
from manifests.reasons import meaning_of
from manifests.review import VERDICTS, Review
from manifests.shards import MANIFEST_NAME, member_offsets
from pipeline.browse.clip import Playing
from pipeline.browse.filters import FIELDS, Asked, equal_statement, inlined, like_statement
from pipeline.browse.marks import EXPORTS, KINDS, Mark
from pipeline.browse.review import Drawn
from pipeline.browse.rows import A_PAGE, Found, Row
from pipeline.engine.store.store import Store
from pipeline.report.samples import address_at, clock, cut_short
from pipeline.report.templates import environment

SORTS = ("", "-words", "words", "-seconds", "seconds", "-motion", "confidence", "-year", "title")
SORTS_OF_VIDEOS = ("", "-seconds", "seconds", "-year", "title")
A_MOMENT_S = 0.002
"""Into the first frame: a player that is sent to its very beginning may show the one before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clip stands in what a line asks for, from 0."""

    line: str
    at: int


class Pages:
    """The pages of one data set."""

    def __init__(self, store: Store, lacks: Callable[[], str], drawn: Drawn | None = None) -> None:
        """`lacks`: what a search by meaning lacks, in words."""
        self._store, self._lacks, self._drawn = store, lacks, drawn
        self._name = _name_of(store)

    def clips(self, line: str, asked: Asked, found: Found, page: int, problems: tuple[str, ...]) -> str:
        """Clips or videos, or their groups, with facets."""
        return self._made(
            "clips.html.j2",
            lacks=self._lacks(),
            line=line,
            asked=asked,
            found=found,
            page=page,
            n_pages=-(-found.n // A_PAGE),
            first=(page - 1) * A_PAGE,
            problems=problems,
            error="",
            facets={
                name: [(called, n, _address(asked.with_term(name, value))) for value, n, called in some]
                for name, some in found.facets.items()
            },
            groups=[(row, _address(asked.with_term(asked.group, row["value"] or ""))) for row in found.groups],
            sorts=[(sort, _address(_sorted(asked, sort))) for sort in _sorts(asked)],
            groupings=[(n, _address(replace(asked, group=n, sort=""))) for n in asked.faceted],
            statement=equal_statement(asked),
            command=self._command(equal_statement(asked)),
            like="",
            near="",
        )

    def like(self, clip_id: str, alike: list[tuple[Row, int]], problems: tuple[str, ...]) -> str:
        """The clips that look like one, as a page of clips."""
        rows = [{**row, "bits": bits} for row, bits in alike]
        found = Found(rows, len(rows), sum(row["seconds"] for row in rows) / 3600, {})
        return self._alone(found, problems, like=clip_id, statement=inlined(*like_statement(clip_id)))

    def near(self, text: str, clip_id: str, near: list[tuple[Row, float]], problems: tuple[str, ...]) -> str:
        """The clips nearest to a sentence, or to a clip, as a page of clips."""
        rows = [{**row, "cosine": cosine} for row, cosine in near]
        found = Found(rows, len(rows), sum(row["seconds"] for row in rows) / 3600, {})
        return self._alone(found, problems, near=text or clip_id)

    def wrong_line(self, line: str, error: str, problems: tuple[str, ...]) -> str:
        """The same page of nothing, for a line that asks for nothing that there is."""
        return self._alone(Found([], 0, 0.0, {}), problems, line=line, error=error)

    def _alone(self, found: Found, problems: tuple[str, ...], **about: Any) -> str:
        """A page of clips without counts beside them."""
        given = {"line": "", "error": "", "like": "", "near": "", "statement": "", **about}
        command = self._command(given["statement"]) if given["statement"] else ""
        lists: dict[str, Any] = {"facets": {}, "groups": [], "sorts": [], "groupings": []}
        return self._made(
            "clips.html.j2", asked=Asked(), found=found, page=1, n_pages=0, first=0, problems=problems, command=command,
            lacks=self._lacks(), **lists, **given,
        )  # fmt: skip

    def _command(self, statement: str) -> str:
        return f"hdvila-pipeline sql {shlex.quote(self._store.url)} {shlex.quote(statement)}"

    def clip(
        self, row: Row, playing: Playing | None, said: str, place: Place | None, marks: Mapping[tuple[str, str], Mark]
    ) -> str:
        """A clip, to play with its words. `said`: why it cannot be played."""
        return self._made(
            "clip.html.j2",
            row=row,
            playing=playing,
            said=said,
            place=place,
            line=place.line if place else "",
            moment_s=A_MOMENT_S,
            scores=[(name, f"{n:.4g}") for name, n in (row["scores"] or {}).items() if n is not None],
            marked=[
                (kind, row[column], marks.get((kind, row[column]))) for kind, column in KINDS.items() if row[column]
            ],
            problems=(),
        )

    def marks(self, marks: Mapping[tuple[str, str], Mark], path: str) -> str:
        """All marks, and what can be made of them."""
        return self._made("marks.html.j2", marks=[*marks.values()], path=path, exports=EXPORTS, line="", problems=())

    def judging(self, at: int, row: Row, playing: Playing | None, said: str, judged: str) -> str:
        """A drawn clip, with nothing of what the pipeline thinks of it."""
        about = {"row": row, "playing": playing, "said": said, "judged": judged, "moment_s": A_MOMENT_S}
        return self._made("review.html.j2", drawn=self._drawn, at=at, verdicts=VERDICTS, line="", problems=(), **about)

    def judged(self, result: Review, signed: str) -> str:
        """The counts of the review."""
        about = {"row": None, "result": result, "signed": signed}
        return self._made("review.html.j2", drawn=self._drawn, line="", problems=(), **about)

    def fault(self, said: str) -> str:
        """What could not be read."""
        return self._made("fault.html.j2", said=said, line="", problems=())

    def _made(self, template: str, **values: Any) -> str:
        return (
            _environment()
            .get_template(template)
            .render(name=self._name, url=self._store.url, is_review=self._drawn is not None, **values)
        )


@cache
def _environment() -> Environment:
    made = environment("pipeline.browse", "pipeline.report")
    made.filters |= {
        "address_at": address_at,
        "clock": lambda ms: clock(int(ms)),
        "cut_short": cut_short,
        "meaning": lambda reason: meaning_of(reason) or "",
        "has_still": _has_still,
        "plain_address": _plain_address,
    }
    made.globals |= {"asking": lambda **query: urlencode(query), "line_of": _line_of}
    return made


def _name_of(store: Store) -> str:
    """The data set's name, else that of its folder."""
    document = store.read_json(MANIFEST_NAME) if store.exists(MANIFEST_NAME) else None
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name else store.name


def _line_of(name: str, value: str, of: str = "clips") -> str:
    return str(Asked(of=of).with_term(name, str(value)))


def _address(asked: Asked) -> str:
    return f"/clips?{urlencode({'q': str(asked)})}"


def _sorts(asked: Asked) -> list[str]:
    scores = [name for name in asked.shown_fields if name not in FIELDS]
    return [
        *(SORTS if asked.of == "clips" else SORTS_OF_VIDEOS),
        *(f"{way}{name}" for name in scores for way in ("-", "")),
    ]


def _sorted(asked: Asked, sort: str) -> Asked:
    return replace(asked, sort=sort.lstrip("-"), is_descending=sort.startswith("-"), group="")


def _has_still(row: Row) -> bool:
    try:
        return bool(row["still_bytes"]) or (bool(row["tar"]) and "mjpg" in member_offsets(row["members"]))
    except DamagedFile:
        return False


def _plain_address(url: str) -> str:
    """An address to link to; "" for what is not http(s)."""
    try:
        return url if urlsplit(url).scheme in ("http", "https") else ""
    except ValueError:
        return ""
