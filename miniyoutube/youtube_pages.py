"""Turns a request into the site's answer: which page it is, which fault applies, and the proper answer."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from miniyoutube import data_api, innertube, listings
from miniyoutube.answers import CONSENT_PAGE, Answer, FileSlice, Json, Request, error_answer, html_answer, json_answer
from miniyoutube.catalogue import Catalogue, Track, Video, expected_media
from miniyoutube.faults import FaultBook, SiteRequest
from miniyoutube.media_cache import MediaCache, Rendition
from miniyoutube.request_log import LoggedRequest
from miniyoutube.script import in_english
from miniyoutube.speech import caption_file
from miniyoutube.spoilt import LOGGED_IN, client_name, edited, plain_fault, spoilt

SITE_HOSTS = re.compile(
    r"(?:(?:www|m)\.)?youtube\.com|[\w-]+\.googlevideo\.com|(?:i|img)\.ytimg\.com|www\.googleapis\.com"
)
"""Hosts that the site answers for; all others are refused and recorded."""

_PLAYER_SCRIPT = "/s/player/0a1b2c3d/player_ias.vflset/en_US/base.js"
_SIGNATURE_TIMESTAMP = 20_000
_PLAYER_CODE = f"""(function(){{
var o = {{signatureTimestamp:{_SIGNATURE_TIMESTAMP}}};
class Url {{
  constructor() {{ this.values = {{}}; }}
  set(name, value) {{ this.values[name] = value; }}
  get(name) {{ return this.values[name]; }}
  solve() {{ this.values.n = [...this.values.n].reverse().join(""); }}
}}
function make(address, name, sig) {{
  var url = new Url();
  url.set("alr", "yes");
  if (sig) url.set(name, sig);
  return url;
}}
}}).call(this);
"""
"""The script of a player, with what yt-dlp's solver looks for in it."""


@dataclass
class Site:
    """The site's state: its contents, its misbehaviour, the drawn files."""

    catalogue: Catalogue
    cache: MediaCache
    faults: FaultBook = field(default_factory=FaultBook)
    page_size: int = 20
    sizes: dict[Rendition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data_api = data_api.DataApi(self.catalogue)

    def draw_media(self) -> int:
        """Draws what a crawl of 720p will ask for and returns the number of new files."""
        renditions = expected_media(self.catalogue.videos)
        n_drawn = self.cache.draw_all(renditions)
        self.sizes = {r: self.cache.path(r).stat().st_size for r in dict.fromkeys(renditions)}
        return n_drawn

    def answer(self, request: Request, logged: LoggedRequest) -> Answer:
        """Answers a request; records in `logged` its kind and the fault that applied."""
        asked = self._classify(request)
        logged.kind, logged.video_id, logged.generation = asked.where, asked.video_id, asked.generation
        video = self.catalogue.by_id.get(asked.video_id)
        fault = self.faults.meet(asked, video.faults if video else ())
        logged.fault = fault.effect if fault else ""
        honest = _HANDLERS[asked.where]
        if fault and video and fault.effect in ("trimmed", "shrinking"):
            video, fault = edited(video, fault, asked.generation), None
        if fault is None:
            return _for_account(honest(self, request, asked, video), request)
        if fault.effect == "repeat":
            return self._repeated_search(request)
        wrong = plain_fault(fault, asked)
        return wrong or spoilt(fault, _for_account(honest(self, request, asked, video), request), request, video)

    def _classify(self, request: Request) -> SiteRequest:
        """Determines the kind of a request, and its video, page or stream."""
        where, video_id, page, stream = "other", "", 1, ""
        path, query = request.path, request.query
        if request.host.endswith("googlevideo.com"):
            where, video_id = "media", query.get("id", "")
            stream = {"140": "audio", "18": "progressive"}.get(query.get("itag", ""), "video")
        elif request.host.endswith("googleapis.com"):
            where = "data_api"
        elif request.host.endswith("ytimg.com"):
            where = "thumbnail"
        elif path.startswith("/youtubei/v1/"):
            where, video_id, page = self._classify_api(path, request.body)
        elif path in ("/", "/tv"):
            where = "home"
        elif path == "/watch":
            where, video_id = "watch", query.get("v", "")
        elif path.startswith("/embed/"):
            where, video_id = "embed", path.removeprefix("/embed/")
        elif path == "/api/timedtext":
            where, video_id = "captions", query.get("v", "")
        elif path == "/playlist" or path.startswith(("/@", "/channel/")):
            where = "browse"
        elif path == "/iframe_api" or path.startswith("/s/player/"):
            where = "script"
        return SiteRequest(where, video_id, page, stream, self._generation(where, video_id, query), request.identity)

    def _classify_api(self, path: str, body: Json) -> tuple[str, str, int]:
        name = path.removeprefix("/youtubei/v1/")
        where = {"navigation/resolve_url": "resolve"}.get(name, name)
        if where not in ("search", "browse", "player", "next", "resolve"):
            where = "other"
        token = _read_token(str(body.get("continuation", "")))
        page = token.offset // self.page_size + 1 if token else 1
        return where, str(body.get("videoId", "")), page

    def _generation(self, where: str, video_id: str, query: dict[str, str]) -> int:
        """The extraction that a request belongs to; a media URL names its own."""
        if where == "media":
            given = query.get("gen", "")
            return int(given) if given.isdecimal() else 0
        if where in ("watch", "next"):
            return self.faults.begin_extraction(video_id)
        if where == "player":
            return self.faults.note_player(video_id)
        return self.faults.generation(video_id) if video_id else 0

    # --- lists ---

    def _home(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return html_answer(_page(_config("WEB"), {}, None))

    def _search(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        token = _read_token(str(request.body.get("continuation", ""))) or _Token(str(request.body.get("query", "")))
        videos = self.catalogue.search(token.list_id)
        page, next_token = self._page_of(videos, token)
        return json_answer(listings.search_page(page, next_token, first=token.offset == 0))

    def _repeated_search(self, request: Request) -> Answer:
        token = _read_token(str(request.body.get("continuation", ""))) or _Token(str(request.body.get("query", "")))
        page, _ = self._page_of(self.catalogue.search(token.list_id), _Token(token.list_id))
        more = _Token(token.list_id, token.offset + self.page_size).written()
        return json_answer(listings.search_page(page, more, first=token.offset == 0))

    def _browse(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        """A page of a playlist or channel: as a web page, or as JSON for the API."""
        if token := _read_token(str(request.body.get("continuation", ""))):
            page, next_token = self._page_of(self._list(token.list_id), token)
            return json_answer(listings.more_of_list(page, next_token, token.list_id.startswith("UC")))
        list_id = str(request.body.get("browseId", "")).removeprefix("VL") or _list_of(request, self.catalogue)
        data = self._first_page(list_id)
        if request.method == "POST":
            return json_answer(data)
        return html_answer(_page(_config("WEB"), data, None)) if data else error_answer(404)

    def _first_page(self, list_id: str) -> Json:
        page, next_token = self._page_of(self._list(list_id), _Token(list_id))
        if channel := self.catalogue.channels.get(list_id):
            return listings.channel_page(channel, page, next_token)
        if playlist := self.catalogue.playlist(list_id):
            return listings.playlist_page(playlist, page, next_token)
        return listings.missing_list()

    def _list(self, list_id: str) -> Sequence[Video]:
        """The videos of a channel (`UC…`) or playlist; none if it isn't there."""
        if list_id.startswith("UC"):
            return self.catalogue.uploads.get(list_id, [])
        playlist = self.catalogue.playlist(list_id)
        return [self.catalogue.by_id[video_id] for video_id in playlist.video_ids] if playlist else []

    def _page_of(self, videos: Sequence[Video], token: _Token) -> tuple[Sequence[Video], str]:
        """The page that a token names and the token of the next, "" after the last."""
        end = token.offset + self.page_size
        return videos[token.offset : end], _Token(token.list_id, end).written() if end < len(videos) else ""

    def _resolve(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        url = urlsplit(str(request.body.get("url", "")))
        return json_answer(listings.resolved(self.catalogue, url.path, dict(parse_qsl(url.query)).get("list", "")))

    # --- one video ---

    def _watch(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        if video is None:
            return html_answer(_page(_config("WEB"), {"contents": {}}, innertube.refusal(asked.video_id, "removed")))
        note = "This video is made for kids" if video.made_for_kids else ""
        return html_answer(
            _page(_config("WEB"), innertube.watch_data(video), innertube.watch_player_response(video), note)
        )

    def _embed(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return html_answer(_page(_config("WEB_EMBEDDED_PLAYER"), {}, None))

    def _next(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return json_answer(innertube.watch_data(video) if video else {"contents": {}})

    def _player(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        if video is None:
            return json_answer(innertube.refusal(asked.video_id, "removed"))
        answer = innertube.player_response(
            video,
            generation=asked.generation,
            identity=request.identity,
            client=client_name(request.body),
            sizes=self.sizes,
        )
        return json_answer(answer)

    def _captions(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        query = request.query
        track = (
            innertube.find_track(video, query.get("lang", ""), query.get("kind", ""), query.get("name", ""))
            if video
            else None
        )
        if video is None or track is None:
            return error_answer(404)
        return _caption_answer(video, track, query.get("fmt", "json3"), query.get("tlang", ""))

    def _media(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        """A stream or a range of it. A URL that another identity extracted is refused, as on the site."""
        query = request.query
        rendition = innertube.rendition_of(video, query.get("itag", ""), query.get("voice", "")) if video else None
        if video is None or rendition is None:
            return error_answer(404)
        signed = query.get("sig", "").startswith(innertube.SIGNATURE_MARK)
        unsolved = query.get("n", "").startswith(innertube.UNSOLVED)
        if not signed or unsolved or query.get("ip", "") != request.identity:
            return error_answer(403)
        path = self.cache.path(rendition)
        total = innertube.served_bytes(video, rendition, path.stat().st_size)
        mime = "audio/mp4" if rendition.kind == "audio" else "video/mp4"
        first, end = _range(request.headers.get("range", ""), total)
        headers = {"Accept-Ranges": "bytes"}
        if "range" not in request.headers:
            return Answer(200, mime, slice=FileSlice(path, 0, total), headers=headers)
        if first >= total or end <= first:
            return replace(error_answer(416), headers={"Content-Range": f"bytes */{total}"})
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{total}"
        return Answer(206, mime, slice=FileSlice(path, first, end), headers=headers)

    def _script(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        address = f'var player="{_PLAYER_SCRIPT}"'.replace("/", "\\/")
        text = _PLAYER_CODE if request.path.startswith("/s/player/") else address
        return Answer(content_type="text/javascript", body=text.encode())

    def _thumbnail(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return error_answer(404)

    def _data_api(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return self.data_api.answer(request)

    def _other(self, request: Request, asked: SiteRequest, video: Video | None) -> Answer:
        return error_answer(404)


_HANDLERS: dict[str, Callable[[Site, Request, SiteRequest, Video | None], Answer]] = {
    name: getattr(Site, f"_{name}")
    for name in (
        *("home", "search", "browse", "resolve", "watch", "embed", "next", "player"),
        *("captions", "media", "thumbnail", "script", "data_api", "other"),
    )
}


def _caption_answer(video: Video, track: Track, format_: str, translated_to: str) -> Answer:
    """A track's file, or what its URL returns instead."""
    script = video.script
    if translated_to and translated_to != track.language:
        script = in_english(script)
    text = caption_file(script, track.kind, format_)
    if text is None:
        return error_answer(404)
    mime = "application/json; charset=utf-8" if format_ == "json3" else "text/vtt; charset=utf-8"
    match track.answer:
        case "gone":
            return error_answer(404)
        case "empty":
            text = b""
        case "html":
            return html_answer(CONSENT_PAGE)
        case "xml":
            text = b'<?xml version="1.0"?><error>Access denied</error>'
        case "error":
            text = b'{"error":{"code":451,"message":"Blocked by your administrator"}}'
        case "bom":
            text = b"\xef\xbb\xbf" + text
        case "no_text":
            text = b'{"wireMagic":"pb3","events":[{"tStartMs":0,"dDurationMs":10000,"id":1}]}'
        case "cut":
            text = text[: len(text) // 2]
    return Answer(content_type=mime, body=text)


def _for_account(answer: Answer, request: Request) -> Answer:
    """A page as an account's cookies get it."""
    if "LOGIN_INFO=" not in request.headers.get("cookie", ""):
        return answer
    return replace(answer, body=answer.body.replace(b"ytcfg.set({", b"ytcfg.set({" + LOGGED_IN + b","))


def _range(header: str, total: int) -> tuple[int, int]:
    """First byte and end (exclusive) of a Range header, clamped to the file; the whole file if there is none."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", header)
    if match is None:
        return 0, total
    return int(match[1]), min(int(match[2]) + 1, total) if match[2] else total


def _list_of(request: Request, catalogue: Catalogue) -> str:
    """The channel or playlist that a page's path names."""
    if request.path == "/playlist":
        return request.query.get("list", "")
    name = request.path.strip("/").removeprefix("channel/").split("/")[0]
    channel = catalogue.channels.get(name if name.startswith("UC") else name.lower())
    return channel.channel_id if channel else ""


@dataclass(frozen=True, slots=True)
class _Token:
    """Where a list continues: a query, channel or playlist, and the position in it."""

    list_id: str
    offset: int = 0

    def written(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.list_id, self.offset]).encode()).decode()


def _read_token(text: str) -> _Token | None:
    try:
        list_id, offset = json.loads(base64.urlsafe_b64decode(text))
        return _Token(str(list_id), max(0, int(offset)))
    except (ValueError, TypeError, binascii.Error):
        return None


def _config(client: str) -> Json:
    """`ytcfg`: a page's settings for its scripts, with the signature timestamp, so that no player script is fetched."""
    return {
        "INNERTUBE_CLIENT_NAME": client,
        "INNERTUBE_CLIENT_VERSION": "2.20260708.00.00",
        "INNERTUBE_CONTEXT": {"client": {"clientName": client, "clientVersion": "2.20260708.00.00", "hl": "en"}},
        "VISITOR_DATA": "CgttaW5pX3Zpc2l0bw%3D%3D",
        "PLAYER_JS_URL": _PLAYER_SCRIPT,
        "STS": _SIGNATURE_TIMESTAMP,
    }


def _page(config: Json, data: Json, player: Json | None, note: str = "") -> str:
    """A web page with the data that scripts (and yt-dlp) read."""
    parts = [f"ytcfg.set({_script_json(config)});"]
    if player is not None:
        parts.append(f"var ytInitialPlayerResponse = {_script_json(player)};")
    if data:
        parts.append(f"var ytInitialData = {_script_json(data)};")
    scripts = "".join(f"<script>{part}</script>" for part in parts)
    return f"<!DOCTYPE html><html><head><title>Mini</title></head><body><p>{note}</p>{scripts}</body></html>"


def _script_json(data: Json) -> str:
    """JSON that is safe in a script element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
