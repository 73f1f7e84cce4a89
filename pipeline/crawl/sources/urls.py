"""The stage of the addresses in lists whose media lies elsewhere than on the site, and the fetcher of that media.

In:  rows of the lists (`lists`, `spans`): `url`, and optionally `id`, `caption`, `clips` and the other columns
Out: rows of `videos`, and of `captions` (a track to split) or `transcripts` (given clips: no track is needed)

An id that cannot name a sample is replaced by a hash of the address. Other columns are kept in KEY.json (`extra`). A
resolution column is not trusted: the file is probed when it arrives.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from manifests.addresses import without_secrets
from manifests.categories import category_name
from manifests.errors import UserError
from manifests.plugins import load
from manifests.reasons import Reason, ReasonClass
from manifests.rows import CaptionRow, VideoRow
from manifests.sample import GivenSpan, is_video_id
from manifests.settings import Section
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import COLUMNS, MediaUrlsConfig
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.folder import CAPTION_SUFFIXES, category_id_of, kind_shown_by
from pipeline.crawl.sources.lists import heads_of, media_rows
from pipeline.crawl.sources.media_urls import MediaReader, change_of, refuse_address
from pipeline.crawl.sources.spans import as_json, some_usable, spans_of, text_of, value_of
from pipeline.crawl.sources.tables import TableRow
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item, plain
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit, content_name
from pipeline.media.source_files import FileSeen
from pipeline.outdir.tombstones import is_pseudonym, read_tombstones
from pipeline.site.redact import redact
from pipeline.site.tracks import MAX_CAPTION_BYTES
from pipeline.text.transcripts import given_transcript_row

_ADDRESS = re.compile(r"\w+://\S+")
MAX_EXTRA_CHARACTERS = 16_384
BATCH_ROWS = 32
"""Of a unit."""


ListRows = Callable[[Any, Callable[[str], bytes]], Iterable[TableRow]]


@dataclass(frozen=True, slots=True)
class Listing:
    """Where the rows of another package's source come from, by its name. `sections`: section `sources`."""

    source: str
    sections: Section

    def rows(self, ask: Callable[[str], bytes]) -> Iterable[TableRow]:
        """What its `rows(settings, ask)` yields."""
        list_rows: ListRows = load("sources", self.source).rows
        return list_rows(getattr(self.sections, self.source), ask)


@dataclass(frozen=True, slots=True)
class UrlsStage:
    """One unit per batch of rows without a verdict; of another package's source (`listing`) per row, since what is
    tried again may be listed no more.
    """

    config: MediaUrlsConfig
    crawl: CrawlConfig
    name: str = "urls"
    listing: Listing | None = None
    resources: Resources = field(default_factory=lambda: Resources(n_cpus=0.5, time_limit_s=3600))

    def units(self, store: Store) -> Iterator[Unit]:
        """Batches in the order of the tables, named by their ids; of several rows with the same id the first counts.

        UserError if all of a list would be rejected because nothing says what its addresses may begin with.
        """
        for head in () if self.listing or self.config.allow else heads_of(self.crawl.lists):
            if head.media and not head.site:
                raise UserError(
                    f"{head.file}: names media elsewhere; say in media_urls.allow what its addresses begin with"
                )
        known, known_as = _known(store, self.name), read_tombstones(store).known_as
        batch: dict[str, TableRow] = {}
        for row in self._rows():
            video_id = known_as(video_id_of_row(row))
            if video_id not in known:
                known.add(video_id)
                batch[video_id] = row
            if len(batch) == (1 if self.listing else BATCH_ROWS):
                yield _unit(batch)
                batch = {}
        if batch:
            yield _unit(batch)

    def _rows(self) -> Iterator[TableRow]:
        if self.listing is not None:
            listed = self.listing.rows(self._ask)
            yield from ({**row, "_table": f"source://{self.listing.source}"} for row in listed)
            return
        for file in self.crawl.lists.files:
            yield from (row | {"_table": file} for row in media_rows(file, self.crawl.lists))

    @property
    def reader(self) -> MediaReader:
        """What reads its addresses."""
        return MediaReader(self.config, self.crawl)

    def _ask(self, url: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "answer"
            try:
                self.reader.fetch(url, target, MAX_CAPTION_BYTES)
            except Rejected as error:
                raise UserError(f"{self.name}: {redact(plain(url))[:200]}: {error}; run it again later") from None
            return target.read_bytes()

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes a video or a reject of each row."""
        made_rows: dict[str, list[Mapping[str, Any]]] = {"videos": [], "captions": [], "transcripts": []}
        output = Output(rows=made_rows)
        for video_id, row in unit.payload.items():
            if is_pseudonym(video_id):  # removed: it is not looked at again
                output.rejects.append(Reject(Reason.OPTED_OUT, video_id, detail=f"video {video_id}"))
                continue
            made = per_item(context, video_id, partial(self._read, video_id, row, context))
            if isinstance(made, Reject):
                output.rejects.append(made)
                continue
            for table, rows in made.items():
                made_rows[table].extend(rows)
        return output

    @property
    def source(self) -> str:
        """The name of the source, as its rows of `videos` have it."""
        return self.listing.source if self.listing else LISTS

    def _read(self, video_id: str, row: TableRow, context: Context) -> dict[str, list[Mapping[str, Any]]]:
        url = text_of(row.get("url"))
        refuse_address(url, self.config)
        spans = given_spans(row)
        language = (text_of(row.get("language")) or self.crawl.lists.caption_language).lower()
        has_texts = any(span["text"] for span in spans)
        captions: list[CaptionRow] = [] if has_texts else [self._track(video_id, row, language, context)]
        seen = self._look(url)
        video = _video_row(video_id, url, row, language, spans, captions, self.source, seen)
        if has_texts:
            return {"videos": [video], "transcripts": [given_transcript_row(video_id, language, spans)]}
        return {"videos": [video], "captions": [*captions]}

    def _look(self, url: str) -> FileSeen:
        """What lies at an address; nothing is known of what the fetch will reject, which says why."""
        try:
            return self.reader.look(url)
        except Rejected as verdict:
            if verdict.reason.class_ is ReasonClass.LATER:
                raise
        return FileSeen(-1, "", "")

    def _track(self, video_id: str, row: TableRow, language: str, context: Context) -> CaptionRow:
        address, file = text_of(row.get("caption_url")), text_of(row.get("caption_file"))
        if address:
            target = context.scratch / "captions"
            self.reader.fetch(address, target, MAX_CAPTION_BYTES)
            payload, suffix = target.read_bytes(), _suffix(urlsplit(address).path)
        elif file:
            payload, suffix = _beside(row["_table"], file, MAX_CAPTION_BYTES), _suffix(file)
        else:
            raise Rejected(Reason.NO_CAPTIONS, "the row has no caption, caption_url or caption_file")
        return {
            "video_id": video_id,
            "kind": kind_shown_by(payload, suffix),
            "language": language,
            "track": language,
            "format": suffix,
            "payload": payload,
        }


@dataclass(frozen=True, slots=True)
class UrlFetcher:
    """Fetches the media of a row: `fetcher(video_row, context) -> Path`. Rejected (`changed`) if it is not what was
    looked at.
    """

    stage: UrlsStage
    max_bytes: int

    def __call__(self, video: Mapping[str, Any], context: Context) -> Path:
        """Returns the file. Raises Rejected, of class `later` if it may be temporary."""
        target = context.scratch / "media"
        self.stage.reader.fetch(video["url"], target, self.max_bytes)
        if change := change_of(target, video):
            raise Rejected(Reason.CHANGED, change, retry_after_s=0.0)
        return target


def _beside(table: str, file: str, max_bytes: int) -> bytes:
    """Reads a caption file in or below the folder of a local table."""
    if "://" in table:
        raise Rejected(Reason.NO_CAPTIONS, "caption_file works only for a table on a local disk; use caption_url")
    folder = Path(table).resolve().parent
    path = (folder / file).resolve()
    if not path.is_relative_to(folder) or not path.is_file() or path.stat().st_size > max_bytes:
        raise Rejected(Reason.NO_CAPTIONS, f"{plain(file)[:200]}: no such caption file in the table's folder")
    return path.read_bytes()


def _suffix(path: str) -> str:
    suffix = path.rpartition(".")[2].lower()
    return suffix if suffix in CAPTION_SUFFIXES else "vtt"


def video_id_of_row(row: Mapping[str, Any]) -> str:
    """The row's id if it can name a sample, else 16 hex digits of the address's SHA-256."""
    own, address = text_of(row.get("id")), without_secrets(text_of(row.get("url")))
    return own if is_video_id(own) else hashlib.sha256(address.encode()).hexdigest()[:16]


def given_spans(row: Mapping[str, Any]) -> list[GivenSpan]:
    """The spans given with a row, in the form of `videos.given_spans`. Rejected (span_outside) if none can be cut."""
    given = row.get("given_spans")
    spans: list[GivenSpan] = spans_of(row) if given is None else json.loads(given or "[]")
    if spans and not some_usable(spans):
        clips = row.get("clips") or [row.get("start"), row.get("end")]
        raise Rejected(Reason.SPAN_OUTSIDE, f"clips: {plain(str(clips))[:80]!r} is not [[start, end], …]")
    return spans


def _video_row(
    video_id: str,
    url: str,
    row: Mapping[str, Any],
    language: str,
    spans: list[GivenSpan],
    tracks: Sequence[CaptionRow],
    source: str,
    seen: FileSeen,
) -> VideoRow:
    category_id = category_id_of(text_of(row.get("category")))
    duration = value_of(row.get("duration"))
    known_s = isinstance(duration, int | float) and 0 < duration < 1e7
    return {
        "video_id": video_id,
        "url": url,
        "source": source,
        "query": without_secrets(row["_table"]).rpartition("/")[2],
        "category_id": category_id,
        "category": category_name(category_id),
        "title": text_of(row.get("title")),
        "channel_id": text_of(row.get("channel")),
        "channel": text_of(row.get("channel")),
        "duration_s": float(duration) if known_s else 0.0,
        "language": language,
        "upload_date": "",
        "license": text_of(row.get("license")),
        "view_count": -1,
        "age_limit": 0,
        "made_for_kids": False,
        "heights": [],
        "caption_tracks": [f"{track['kind']}:{track['track']}" for track in tracks],
        "audio_format": "",
        "audio_bytes": -1,
        "media_path": "",
        "media_bytes": seen.bytes_,
        "media_hash": seen.hash_,
        "media_stamp": seen.stamp,
        "given_spans": as_json(spans),
        "egress": "",
        "yt_dlp_version": "",
        "round": 0,
        "flags": "[]",
        "extra": _extra(row, {*COLUMNS, "given_spans", "_table"}),
        "about": [],
    }


def _extra(row: Mapping[str, Any], ours: set[str]) -> str:
    """The columns that are not ours, as JSON; those that would make it too long are left out."""
    kept: TableRow = {}
    n_characters = 2
    for name, value in sorted(row.items()):
        if name in ours or value is None:
            continue
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            value = without_secrets(value)
        size = len(json.dumps({name: value}, default=str))
        if n_characters + size <= MAX_EXTRA_CHARACTERS:
            kept[name], n_characters = value, n_characters + size
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, default=str) if kept else "{}"


def _unit(batch: dict[str, TableRow]) -> Unit:
    return Unit(content_name(batch), dict(batch), tuple(batch))


def _known(store: Store, stage: str) -> set[str]:
    """Ids that already have a verdict from this source."""
    rejects = [store.read_part(part, ["video_id"]) for part in store.reject_parts(stage)]
    return {i for table in (*rejects, store.read_table("videos", ["video_id"])) for i in table["video_id"].to_pylist()}
