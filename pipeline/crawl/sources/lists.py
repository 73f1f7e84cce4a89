"""The lists source: what files of ids, addresses or clips name, a video at a time, in whatever form and length.

Videos of the site are listed for the rounds of the crawl, other addresses for the stage `urls`. A file is read in
parts: a part holds the videos whose hash lies in its range, each joined from all of its rows, wherever in the file
these are. So a part needs nothing but the file, and memory is bounded by its size. Who reads the file for a part sets
the rows of the others aside (`set_aside`). `Ask.cursor` is the hash where the next part begins. A row that names
nothing is listed too, to be rejected.
"""

import hashlib
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from manifests.addresses import without_secrets
from manifests.errors import UserError
from manifests.origin import is_of_site, video_id_of
from pipeline.config.sources import ListsConfig
from pipeline.crawl.sources import Listed
from pipeline.crawl.sources.forms import FORMS, Form, form_of
from pipeline.crawl.sources.set_aside import Row, SetAside, rows_set_aside
from pipeline.crawl.sources.spans import as_json, joined, named_clip, spans_of, text_of, value_of, with_texts
from pipeline.crawl.sources.tables import UNNAMED, TableRow, opened, parquet_rows, read_rows, rows_in
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import plain
from pipeline.site.redact import redact

END = 1 << 32
"""Where the last part ends: hashes have 32 bits."""
VIDEOS_A_PART, BYTES_A_PART = 50_000, 128 * 1024**2
HEAD_ROWS, HEAD_BYTES = 5_000, 4 * 1024**2
"""A file is judged by its first rows, before a run and for each part."""
MOST_BAD = 0.5
"""Of these rows: a file with a larger share that name no video is not understood."""
SHOWN_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Head:
    """How a file is read, judged by its first rows. Numbers of the whole file are estimates."""

    file: str
    form: str
    ours: Mapping[str, str]
    """{column of the file: our name}, of those with other names."""
    url: str
    id: str
    """The file's columns of these."""
    n_videos: int
    n_bytes: int
    site: bool
    """Whether any of these rows names a video of the site."""
    media: bool
    """Whether any names another address."""

    @property
    def width(self) -> int:
        """The range of hashes of a part."""
        return math.ceil(END / max(1, math.ceil(max(self.n_videos / VIDEOS_A_PART, self.n_bytes / BYTES_A_PART))))

    @property
    def is_by_clip(self) -> bool:
        """Whether a row may be one of several clips of a video."""
        return not {"start", "end"}.isdisjoint(self.ours.values())

    @property
    def has_texts(self) -> bool:
        """Whether it has a column of texts."""
        return "caption" in self.ours.values()

    def nameless(self, number: int) -> str:
        """What a row that names nothing is called."""
        return f"row {number + 1} of {PurePath(self.file).name}"[-SHOWN_CHARACTERS:]

    def name(self, row: TableRow | str) -> tuple[str, bool]:
        """(what a row's video is called, whether it is of the site); "" for a row that names none."""
        return ("", True) if isinstance(row, str) else _name(row.get(self.url), row.get(self.id))

    def renamed(self, row: TableRow | str, number: int) -> TableRow:
        """A row with our names; one that is no row, or has no address and no id, gets its text as its address."""
        if isinstance(row, str):
            return {"url": plain(row)[:SHOWN_CHARACTERS]}
        mine = {name: value for name, value in row.items() if name not in self.ours}
        mine |= {ours: row[theirs] for theirs, ours in self.ours.items() if theirs in row}
        return mine if text_of(mine.get("url")) or text_of(mine.get("id")) else {**mine, "url": self.nameless(number)}


def read_head(file: str, config: ListsConfig) -> Head:
    """Judges a list. UserError if it cannot be read, or is not understood."""
    with opened(file) as (stream, raw):
        rows, n_bytes, is_whole = _first_rows(rows_in(stream, file))
        n_rows = len(rows) if is_whole else parquet_rows(stream, file)
        if n_rows is None:
            here = raw.tell()
            n_rows = round(len(rows) * raw.seek(0, io.SEEK_END) / max(1, here))
    names = list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    form = _form(file, names, rows, config)
    ours = {theirs: ours for ours, theirs in form.columns.items()}
    url, own = form.columns.get("url", "url"), form.columns.get("id", "id")
    head = Head(file, form.name, ours, url, own, n_videos=0, n_bytes=0, site=False, media=False)
    named = [head.name(row) for row in rows]
    bad = [n for n, (name, _) in enumerate(named) if not name]
    if len(bad) > MOST_BAD * len(rows):
        why = f"{len(bad)} of its first {len(rows)} rows name no video, such as row {bad[0] + 1}"
        shown = redact(plain(str(rows[bad[0]])))[:120]
        raise _not_understood(file, f"read as {form.name}, {why}: {shown!r}", names, rows)
    share = n_rows / max(1, len(rows))
    return replace(
        head,
        n_videos=round(len(set(named)) * share),
        n_bytes=round(n_bytes * share),
        site=any(name and is_site for name, is_site in named),
        media=any(name and not is_site for name, is_site in named),
    )


def _first_rows(rows: Iterator[TableRow | str]) -> tuple[list[TableRow | str], int, bool]:
    """The first rows, the length of their texts, and whether these are all."""
    first: list[TableRow | str] = []
    n_bytes = 0
    for row in rows:
        if len(first) == HEAD_ROWS or n_bytes > HEAD_BYTES:
            return first, n_bytes, False
        first.append(row)
        n_bytes += len(str(row))
    return first, n_bytes, True


def heads_of(config: ListsConfig) -> list[Head]:
    """All configured lists. UserError if there is none, or as of `read_head`."""
    if not config.files:
        raise UserError("crawl.lists.files: names no file, but the lists source needs one")
    return [read_head(file, config) for file in config.files]


def _form(file: str, names: Sequence[str], rows: Sequence[TableRow | str], config: ListsConfig) -> Form:
    if config.columns and all(name in names for name in config.columns.values()):
        return Form("crawl.lists.columns says", config.columns)
    if found := form_of(names):
        return found
    if not rows:
        return Form("nothing", {})
    lacking = [name for name in config.columns.values() if name not in names]
    what = "its columns are unknown"
    if UNNAMED in names:
        what = f"its first row names no columns, so that they are called {UNNAMED!r} and so on"
    if lacking:
        what = f"it has no column {lacking[0]!r}, which crawl.lists.columns names"
    raise _not_understood(file, what, names, rows)


def _not_understood(file: str, what: str, names: Sequence[str], rows: Sequence[TableRow | str]) -> UserError:
    """The error, with the column that holds ids or addresses, if any does, and the forms that are known."""
    some = [row for row in rows[:100] if isinstance(row, dict)]
    told = {name: sum(_name(row.get(name), "")[0] != "" for row in some) for name in names}
    best = max(told, key=lambda name: told[name], default="")
    likely = best if told.get(best, 0) > MOST_BAD * len(some) else ""
    hint = f" The cells of {likely!r} look like videos." if likely else ""
    shown = plain(", ".join(names))[:200] or "none"
    return UserError(
        f"{file}: is not understood as a list of videos: {what}. Its columns: {shown}.{hint} Say which of its columns "
        f"are which: crawl.lists.columns: {{id: …, url: {likely or '…'}, start: …, end: …, clips: …, caption: …}}; "
        f"known by their columns are the lists of {', '.join(form.name for form in FORMS)}"
    )


def _name(address: Any, own: Any) -> tuple[str, bool]:
    """(what the video of these cells is called, whether it is of the site); "" if they name none."""
    url, own = text_of(address), text_of(own)
    if not url:
        return video_id_of(own), True
    if found := video_id_of(url):
        return found, True
    return (own or url, False) if "://" in url and not is_of_site(url) else ("", True)


def list_part(
    file: str, config: ListsConfig, cursor: int, here: tuple[Store, Path] | None = None
) -> tuple[list[Listed], int]:
    """The videos of the site in the part that begins at a hash, in the order of their first rows, and where the next
    part begins. What names no video is among them, under its text. UserError as of `read_head`, and if most rows of the
    whole list name no video.

    `here`: a store and a folder for scratch: the list is then read once for all of its parts (`set_aside`).
    """
    head = read_head(file, config)
    end = min(END, cursor + head.width)
    found = [video for video in _joined(_rows_of_part(head, cursor, here)) if video.is_site or not head.media]
    texts = _texts({video.name for video in found if video.spans}, config.texts)
    return [_listed(video, texts) for video in found], end


@dataclass(slots=True)
class _Video:
    """A video of a part: its first row, and the spans of all rows."""

    name: str
    is_site: bool
    number: int
    row: TableRow
    spans: list[str]

    @property
    def text(self) -> str:
        return text_of(self.row.get("url")) or text_of(self.row.get("id"))


def _rows_of_part(head: Head, cursor: int, here: tuple[Store, Path] | None) -> Iterator[Row]:
    """The rows of a part: those that were set aside, or of the list, whose later parts are set aside then."""
    part, n_parts = cursor // head.width, -(-END // head.width)
    if here is None or n_parts == 1:
        yield from _rows(head, part)
        return
    digest = hashlib.sha256(repr(head).encode()).hexdigest()[:16]
    rows = rows_set_aside(here[0], digest, part, is_last=part + 1 == n_parts)
    if rows is not None:
        yield from rows
        return
    with SetAside(*here, digest, part + 1, n_parts) as aside:
        yield from _rows(head, part, aside)


def _rows(head: Head, part: int, aside: SetAside | None = None) -> Iterator[Row]:
    """The rows of a part in their order; those of other parts are offered to be set aside."""
    number, n_nameless = -1, 0
    for number, row in enumerate(read_rows(head.file)):
        name, is_site = head.name(row)
        n_nameless += not name
        if name and aside is None and zlib.crc32(name.encode()) // head.width != part:
            continue
        mine = head.renamed(row, number)
        text = name or text_of(mine.get("url")) or text_of(mine.get("id"))
        found = number, name, is_site, as_json(spans_of({**mine, "id": name})), mine
        its_part = zlib.crc32(text.encode()) // head.width
        if its_part == part:
            yield found
        elif aside is not None and (is_site or not head.media):
            aside.add(its_part, found)
    if n_nameless > MOST_BAD * (number + 1):
        raise UserError(
            f"{head.file}: {n_nameless:,} of its {number + 1:,} rows name no video; take them out, or say which of its "
            "columns are which: crawl.lists.columns"
        )


def _joined(rows: Iterable[Row]) -> Iterator[_Video]:
    """The videos of these rows in the order of their first ones."""
    found: dict[tuple[str, bool], _Video] = {}
    for number, name, is_site, spans, row in rows:
        video = _Video(name, is_site, number, row, [])
        video = found.setdefault((name or video.text, is_site), video)
        video.spans += [spans] if spans else []
    yield from found.values()


def _listed(video: _Video, texts: Mapping[tuple[str, int], str]) -> Listed:
    row = video.row
    duration = value_of(row.get("duration"))
    spans = joined(video.spans) if video.spans else ""
    return Listed(
        (video.is_site and video.name) or without_secrets(video.text)[:SHOWN_CHARACTERS],
        video.number,
        title=text_of(row.get("title")),
        channel_id=text_of(row.get("channel")),
        duration_s=float(duration) if isinstance(duration, int | float) and 0 < duration < 1e7 else 0.0,
        given_spans=with_texts(spans, video.name, texts) if spans and texts else spans,
    )


def _texts(videos: set[str], files: Sequence[str]) -> dict[tuple[str, int], str]:
    """{(video, number): text} of these videos' clips, of files {clip_id, text} in any order."""
    texts = {}
    for file in files if videos else ():
        for row in read_rows(file):
            clip = named_clip(text_of(row.get("clip_id"))) if isinstance(row, dict) else None
            if clip and clip[0] in videos and isinstance(row, dict):
                texts[clip] = text_of(row.get("text"))
    return texts


def media_rows(file: str, config: ListsConfig) -> Iterator[TableRow]:
    """The rows of a list whose media lies elsewhere than on the site, with our names and `given_spans`.

    Where a row is a clip, those of one video are joined. Rows that name nothing are among them if nothing in the list's
    head is of the site: else `list_part` has them.
    """
    head = read_head(file, config)
    if head.site and not head.media:
        return
    videos = (
        (video for part in range(-(-END // head.width)) for video in _joined(_rows(head, part)))
        if head.is_by_clip
        else _one_by_one(head)
    )
    for video in videos:
        if not head.site or (video.name and not video.is_site):
            yield {**video.row, "given_spans": joined(video.spans) if video.spans else ""}


def _one_by_one(head: Head) -> Iterator[_Video]:
    for number, row in enumerate(read_rows(head.file)):
        name, is_site = head.name(row)
        mine = head.renamed(row, number)
        spans = as_json(spans_of(mine))
        yield _Video(name, is_site, number, mine, [spans] if spans else [])
