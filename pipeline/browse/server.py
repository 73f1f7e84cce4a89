"""HTTP on loopback, by the standard library: a thread a connection, as DuckDB and files block.

A framework (Starlette with uvicorn, say) would add its event loop around the same blocking calls, two packages to keep
up, and would leave ranges, headers and the guard to us as well.
"""

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from manifests.errors import UserError
from manifests.review import REVIEW_NAME
from manifests.shards import MANIFEST_NAME
from pipeline.browse.clip import Member, NoMember, Playing, find_member, playing_of, still_of
from pipeline.browse.filters import MOST_CHARACTERS
from pipeline.browse.guard import HEADERS, LOOPBACK, TOKEN, Guard
from pipeline.browse.marks import EXPORTS, KINDS, Marks, exported
from pipeline.browse.meaning import Meaning
from pipeline.browse.pages import Pages, Place
from pipeline.browse.review import Drawn
from pipeline.browse.rows import A_PAGE, Row, Rows, said_of, unreadable
from pipeline.engine.store.store import Store
from pipeline.report.data import read_report_data
from pipeline.report.page import content_policy, has_audit, render

log = logging.getLogger("hdvila")

IDLE_S = 60.0
MOST_ROWS_SKIPPED = 1_000_000
MOST_FORM_BYTES = 20_000
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_FILES = {
    "/browse.css": ("pipeline.browse", "text/css"),
    "/browse.js": ("pipeline.browse", "text/javascript"),
    "/report.css": ("pipeline.report", "text/css"),
}
"""The page's own files, by path: no other path leads to a file."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `film`: the member whose bytes are the body, from a store."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    status: int = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)
    film: Member | None = None


class Refused(Exception):
    """A request that is answered with this status and nothing else."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Browser:
    """Answers requests on one data set."""

    def __init__(
        self, store: Store, rows: Rows, marks: Marks, drawn: Drawn | None = None, tower: Path | None = None
    ) -> None:
        self.store, self._rows, self._marks = store, rows, marks
        self._meaning = Meaning(store, rows, tower)
        self._pages = Pages(store, self._meaning.lacks, drawn)
        self._reported, self._reporting = ("", b""), threading.Lock()
        self.posts: dict[str, Callable[[dict[str, str]], Answer]] = {"/mark": self._mark}
        self.gets: dict[str, Callable[[dict[str, str]], Answer]] = {
            "/": self._first,
            "/clips": self._clips,
            "/report": self._report,
            "/like": self._like,
            "/near": self._near,
            "/clip": self._clip,
            "/film": self._film,
            "/still": self._still,
            "/marks": self._listed_marks,
            "/favicon.ico": lambda query: Answer(status=HTTPStatus.NO_CONTENT),
            **{path: partial(_own_file, path) for path in _FILES},
        }
        if drawn is not None:
            self.gets["/"] = self.gets["/review"] = partial(self._review, drawn)
            self.posts |= {"/judge": partial(self._judge, drawn), "/sign": partial(self._sign, drawn)}

    def answer(self, path: str, query: dict[str, str], *, is_post: bool = False) -> Answer:
        """The answer to a GET or POST. Refused for a path that there is not; what cannot be read is named on a page."""
        known = self.posts if is_post else self.gets
        if path not in known:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        try:
            return known[path](query)
        except NoMember as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from None
        except unreadable() as error:
            said = said_of(error)
            return Answer(self._pages.fault(said).encode(), status=HTTPStatus.BAD_GATEWAY)

    def _first(self, query: dict[str, str]) -> Answer:
        return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": "/clips"})

    def _report(self, query: dict[str, str]) -> Answer:
        """The report as it would be now, kept until the tables change. The file in the data set may be a stranger's."""
        self._rows.follow()
        if not has_audit(self.store):
            raise Refused(HTTPStatus.NOT_FOUND, "an image-text set has no crawl to report on")
        with self._reporting:
            if self._reported[0] != self._rows.state:
                page = render(self.store, read_report_data(self.store), is_served=True)
                self._reported = (self._rows.state, page.encode(errors="replace"))
        policy = f"{content_policy()}; frame-ancestors 'none'"
        return Answer(self._reported[1], headers={"Content-Security-Policy": policy})

    def _clips(self, query: dict[str, str]) -> Answer:
        self._rows.follow()
        line, page = query.get("q", ""), max(1, _number(query, "page", MOST_ROWS_SKIPPED // A_PAGE))
        try:
            asked = self._rows.read(line)
        except UserError as error:
            said = self._pages.wrong_line(line, str(error), self._rows.problems)
            return Answer(said.encode(), status=HTTPStatus.BAD_REQUEST)
        found = self._rows.find(asked, (page - 1) * A_PAGE)
        return Answer(self._pages.clips(line, asked, found, page, self._rows.problems).encode())

    def _like(self, query: dict[str, str]) -> Answer:
        row = self._row(query)
        alike = self._rows.alike(row["clip_id"])
        if not alike:
            raise NoMember(f"{row['clip_id']} has no hash of its pictures in the table packs")
        return Answer(self._pages.like(row["clip_id"], alike, self._rows.problems).encode(errors="replace"))

    def _near(self, query: dict[str, str]) -> Answer:
        """Clips near to a sentence, else to a clip; what is missing for that is said."""
        self._rows.follow()
        to = query.get("text", "")[:MOST_CHARACTERS]
        try:
            near = self._meaning.near_text(to) if to else self._meaning.near_clip(self._row(query))
        except UserError as error:
            return Answer(self._pages.wrong_line("", str(error), self._rows.problems).encode(errors="replace"))
        said = self._pages.near(to, query.get("id", ""), near, self._rows.problems)
        return Answer(said.encode(errors="replace"))

    def _row(self, query: dict[str, str]) -> Row:
        row = self._rows.of_kind("clip", query.get("id", ""))
        if row is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such clip")
        return row

    def _clip(self, query: dict[str, str]) -> Answer:
        line, at = query.get("q", ""), _number(query, "at", MOST_ROWS_SKIPPED)
        if "id" not in query and "at" in query:
            query["id"] = self._rows.id_at(self._rows.read(line), at)
        row = self._row(query)
        playing, said = self._played(row)
        place = Place(line, at) if "at" in query else None
        return Answer(self._pages.clip(row, playing, said, place, self._marks.all()).encode(errors="replace"))

    def _played(self, row: Row) -> tuple[Playing | None, str]:
        """How a clip is played, or why it cannot be."""
        try:
            return playing_of(self.store, row), ""
        except NoMember as error:
            return None, str(error) if row["status"] == "kept" else ""
        except unreadable() as error:
            return None, said_of(error)

    def _review(self, drawn: Drawn, query: dict[str, str]) -> Answer:
        at = _number(query, "at", len(drawn.clips)) if "at" in query else drawn.next_one()
        if at == len(drawn.clips):
            return Answer(self._pages.judged(drawn.result(self.store), "").encode())
        row = self._row({"id": drawn.clips[at][0]})
        judged = drawn.verdicts().get(row["clip_id"], ("", ""))[0]
        return Answer(self._pages.judging(at, row, *self._played(row), judged).encode(errors="replace"))

    def _judge(self, drawn: Drawn, query: dict[str, str]) -> Answer:
        drawn.judge(query.get("id", ""), query.get("verdict", ""))
        return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": "/review"})

    def _sign(self, drawn: Drawn, query: dict[str, str]) -> Answer:
        drawn.sign(self.store)
        return Answer(self._pages.judged(drawn.result(self.store), REVIEW_NAME).encode())

    def _listed_marks(self, query: dict[str, str]) -> Answer:
        marks = self._marks.all()
        if (name := query.get("as", "")) in EXPORTS:
            headers = {"Content-Disposition": f'attachment; filename="{EXPORTS[name][0]}"'}
            return Answer(exported(marks, name).encode(errors="replace"), "text/plain; charset=utf-8", headers=headers)
        return Answer(self._pages.marks(marks, str(self._marks.path)).encode(errors="replace"))

    def _mark(self, query: dict[str, str]) -> Answer:
        """Marks what the tables know, and goes back to where it was asked."""
        kind, id_ = query.get("kind", ""), query.get("id", "")
        row = self._rows.of_kind(kind, id_) if kind in KINDS else None
        if row is None or not id_:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing of this id to mark")
        self._marks.set(row, kind, query.get("note", ""), is_marked="back" not in query)
        from_clip = {name: query[name] for name in ("at", "q") if name in query} | {"id": query.get("from", "")}
        to = f"/clip?{urlencode(from_clip)}" if from_clip["id"] else "/marks"
        return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": to})

    def _film(self, query: dict[str, str]) -> Answer:
        return Answer(kind="video/mp4", film=find_member(self.store, self._row(query), "mp4"))

    def _still(self, query: dict[str, str]) -> Answer:
        return Answer(still_of(self.store, self._row(query)), "image/jpeg")


def _number(query: dict[str, str], name: str, most: int) -> int:
    """A number of the query, 0 if it is none."""
    given = query.get(name, "")
    return min(int(given), most) if re.fullmatch(r"\d{1,9}", given) else 0


def _query_of(text: str) -> dict[str, str]:
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no address") from None


def _own_file(path: str, query: dict[str, str]) -> Answer:
    package, kind = _FILES[path]
    text = resources.files(package).joinpath("templates", path[1:]).read_bytes()
    return Answer(text, f"{kind}; charset=utf-8")


class Server(ThreadingHTTPServer):
    """Listens from its making on; `serve_forever` answers."""

    daemon_threads = True

    def __init__(self, browser: Browser, host: str, port: int) -> None:
        self.browser = browser
        super().__init__((host, port), Handler)
        self.guard = Guard(host, self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error; the rest is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server_version, sys_version = "hdvila", ""

    def do_GET(self) -> None:
        """Answers a GET."""
        self._send(self._answered)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answers a form of the page itself."""
        self._send(self._posted)

    def _answered(self, path: str, query: dict[str, str]) -> Answer:
        return self.server.browser.answer(path, query)

    def _posted(self, path: str, query: dict[str, str]) -> Answer:
        length = self.headers.get("Content-Length", "")
        if not self.server.guard.may_change(dict(self.headers.items())):
            raise Refused(HTTPStatus.FORBIDDEN, "only the page itself changes something")
        if not re.fullmatch(r"\d{1,5}", length) or int(length) > MOST_FORM_BYTES:
            raise Refused(HTTPStatus.BAD_REQUEST, "this is no form of the page")
        form = _query_of(self.rfile.read(int(length)).decode(errors="replace"))
        return self.server.browser.answer(path, form, is_post=True)

    def _send(self, answered: Callable[[str, dict[str, str]], Answer]) -> None:
        try:
            answer = self._guarded(answered)
        except Refused as error:
            self.close_connection = self.command == "POST"  # what follows may be a form that was not read
            answer = Answer(f"{error}\n".encode(errors="replace"), "text/plain; charset=utf-8", error.status)
        if answer.film is not None:
            self._send_film(answer.film, answer.kind)
            return
        self._begin(answer.status, {"Content-Type": answer.kind, **answer.headers}, len(answer.body))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _guarded(self, answered: Callable[[str, dict[str, str]], Answer]) -> Answer:
        """The answer, if who asks may have it."""
        guard, headers = self.server.guard, dict(self.headers.items())
        if said := guard.refusal(headers):
            raise Refused(HTTPStatus.FORBIDDEN, said)
        try:
            parts = urlsplit(self.path)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "this is no address") from None
        query = _query_of(parts.query)
        if guard.is_token(query.get(TOKEN, "")):
            return Answer(status=HTTPStatus.SEE_OTHER, headers={"Location": "/", "Set-Cookie": guard.cookie})
        if not guard.knows(headers):
            raise Refused(HTTPStatus.FORBIDDEN, "open the address that the command printed: it has a token")
        return answered(parts.path, query)

    def _send_film(self, film: Member, kind: str) -> None:
        """Sends the range that is asked for, or all of it."""
        span = _span(self.headers.get("Range"), film.size)
        if span is None:
            headers = {"Content-Range": f"bytes */{film.size}"}
            self._begin(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, 0)
            return
        first, last, is_part = span
        headers = {"Content-Type": kind, "Accept-Ranges": "bytes"}
        if is_part:
            headers["Content-Range"] = f"bytes {first}-{last}/{film.size}"
        self._begin(HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK, headers, last - first + 1)
        if self.command != "HEAD":
            self._pour(film.pieces(self.server.browser.store, first, last))

    def _pour(self, pieces: Iterator[bytes]) -> None:
        try:
            for piece in pieces:
                self.wfile.write(piece)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):  # the player has enough
            self.close_connection = True
        except unreadable() as error:
            log.warning("%s", said_of(error))
            self.close_connection = True

    def _begin(self, status: int, headers: dict[str, str], n_bytes: int) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers, "Content-Length": str(n_bytes)}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: an address may hold what a person looks for."""


def _span(asked: str | None, size: int) -> tuple[int, int, bool] | None:
    """(first, last byte, whether it is a part) of a Range header; None if the film has no such bytes.

    What is no single range of bytes is read as if it were not there, as RFC 9110 says.
    """
    match = _RANGE.fullmatch(asked or "")
    if match is None or not (match[1] or match[2]):
        return (0, size - 1, False) if size else None
    if not match[1]:
        n = min(int(match[2]), size)
        return (size - n, size - 1, True) if n else None
    first, last = int(match[1]), min(int(match[2] or size), size - 1)
    return (first, last, True) if first <= last else None


def serve(
    store: Store,
    host: str,
    port: int,
    marks: Marks,
    review: Callable[[Rows], Drawn] | None = None,
    tower: Path | None = None,
) -> None:
    """Serves the page until it is interrupted. `review`: draws what it is for. `tower`: an export with a text tower.

    UserError if no run has written there, or the port is taken.
    """
    if not store.stages() and not store.exists(MANIFEST_NAME):
        raise UserError(f"{store.url}: no run has written here; give the output directory of one")
    with closing(Rows(store)) as rows:
        try:
            server = Server(Browser(store, rows, marks, review(rows) if review else None, tower), host, port)
        except OSError as error:
            raise UserError(f"{host}:{port}: cannot listen here ({error.strerror}); choose another --port") from None
        with server:
            if host not in LOOPBACK:
                log.warning("%s: not loopback: the token crosses the network unencrypted", host)
            print(f"look at {server.guard.address}\nmarks go into {marks.path}; Ctrl-C ends it", flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("ended")
