"""The mini-YouTube as a server: an HTTP proxy on loopback that terminates TLS itself and answers for the site's hosts.

A client is pointed at it by three settings that production code has anyway: `proxy`, `nocheckcertificate=True`,
`cachedir=False`. It sends `CONNECT www.youtube.com:443`, does its TLS handshake with a certificate made at start-up,
and speaks HTTP/1.1 as to the real site. Any other host is refused with 403 and recorded. There is one thread per
connection.
"""

import base64
import binascii
import io
import json
import logging
import select
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from miniyoutube.answers import Answer, Conduct, Json, Request
from miniyoutube.catalogue import Catalogue
from miniyoutube.certificate import server_context
from miniyoutube.faults import Fault
from miniyoutube.media_cache import MediaCache
from miniyoutube.request_log import LoggedRequest, RequestLog
from miniyoutube.spoilt import client_name
from miniyoutube.youtube_pages import SITE_HOSTS, Site

log = logging.getLogger(__name__)

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 1024 * 1024
_IDLE_S = 30.0
"""A connection without any data for this long is closed."""
_DRIP_BYTES, _DRIP_EVERY_S = 16, 0.25


class MiniYouTube:
    """Serves a catalogue while its `with` block lasts.

    `draw`: "ahead" makes the 720p media before serving starts, "lazily" when it is asked for (the formats then have no
    length). `log_path`: also write the requests as JSON lines. `port`: 0 takes a free one.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        log_path: Path | None = None,
        cache: MediaCache | None = None,
        page_size: int = 20,
        draw: str = "ahead",
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        if draw not in ("ahead", "lazily"):
            raise ValueError(f'draw is "ahead" or "lazily", not {draw!r}')
        self.site = Site(catalogue, cache or MediaCache(), page_size=page_size)
        self.log = RequestLog(log_path)
        self._draw = draw
        self._port = port
        self._host = host
        self._stop = threading.Event()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        self._tls = server_context()
        self._listener = socket.create_server((self._host, self._port), backlog=256)
        self._port = self._listener.getsockname()[1]
        if self._draw == "ahead":
            self._draw_or_close()
        self._thread = threading.Thread(target=self._accept, name="mini-youtube", daemon=True)
        self._thread.start()
        return self

    def _draw_or_close(self) -> None:
        assert self._listener is not None
        try:
            self.site.draw_media()
        except BaseException:
            self._listener.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._listener is not None and self._thread is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._guard:
            for connection in self._open:
                _shut(connection)
        self.log.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    @property
    def proxy_url(self) -> str:
        """The URL that a client sets as its proxy."""
        return f"http://127.0.0.1:{self._port}"

    def proxy_url_of(self, identity: str) -> str:
        """A proxy URL with a user name: the site treats each user name as another network address."""
        return f"http://{identity}:x@127.0.0.1:{self._port}"

    @property
    def ydl_params(self) -> dict[str, Any]:
        """The three yt-dlp parameters that point it here."""
        return {"proxy": self.proxy_url, "nocheckcertificate": True, "cachedir": False}

    @property
    def catalogue(self) -> Catalogue:
        """What is served."""
        return self.site.catalogue

    def misbehave(self, *faults: Fault) -> None:
        """Adds faults to the whole site from now on, until `relent`."""
        self.site.faults.misbehave(*faults)

    def relent(self, video_id: str = "") -> None:
        """Ends the whole site's faults, or those of one video."""
        self.site.faults.relent(video_id)

    # --- connections ---

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Serves a connection from CONNECT to its end. A client that goes away is not an error."""
        stream: socket.socket = connection
        try:
            connection.settimeout(_IDLE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if (tunnel := self._open_tunnel(connection)) is None:
                return
            host, identity = tunnel
            stream = self._start_tls(connection)
            with stream.makefile("rb") as reader:
                while not self._stop.is_set() and self._exchange(stream, reader, host, identity):
                    pass
        except (OSError, ValueError) as error:
            log.debug("connection ended: %s", error)
        finally:
            with self._guard:
                self._open.discard(stream)
            stream.close()

    def _start_tls(self, connection: socket.socket) -> socket.socket:
        """Returns the TLS stream that replaces a connection."""
        with self._guard:
            self._open.discard(connection)
            stream = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._open.add(stream)
        stream.do_handshake()
        return stream

    def _open_tunnel(self, connection: socket.socket) -> tuple[str, str] | None:
        """Answers CONNECT: returns the requested host and the user name given, or None if the host is refused."""
        with connection.makefile("rb", buffering=0) as reader:  # unbuffered: TLS bytes must stay in the socket
            head = _read_head(reader)
        if not head:
            return None
        method, target, headers = _parse_head(head)
        host = (target if method == "CONNECT" else urlsplit(target).netloc).rsplit(":", 1)[0]
        if method == "CONNECT" and SITE_HOSTS.fullmatch(host):
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return host, _user_name(headers.get("proxy-authorization", ""))
        now_s = time.monotonic()
        refused = LoggedRequest(now_s, host, method, target, {}, "refused", status=403, ended_s=now_s)
        self.log.begin(refused)
        self.log.finish(refused)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return None

    def _exchange(self, stream: socket.socket, reader: io.BufferedIOBase, host: str, identity: str) -> bool:
        """Handles a request; returns whether the connection stays open."""
        head = _read_head(reader)
        if not head:
            return False
        method, target, headers = _parse_head(head)
        body = _read_body(reader, int(headers.get("content-length", "0")))
        url = urlsplit(target)
        request = Request(identity, host, method, url.path, dict(parse_qsl(url.query)), headers, body)
        logged = LoggedRequest(
            time.monotonic(),
            host,
            method,
            request.path,
            request.query,
            "other",
            body=body,
            client=client_name(body),
            identity=identity,
            visitor=headers.get("x-goog-visitor-id", ""),
            itag=request.query.get("itag", ""),
            range=headers.get("range", ""),
        )
        self.log.begin(logged)
        try:
            answer = self.site.answer(request, logged)
            logged.status = answer.status
            stays = headers.get("connection", "").lower() != "close"
            return self._send(stream, answer, logged, stays, with_body=method != "HEAD")
        finally:
            logged.ended_s = time.monotonic()
            self.log.finish(logged)

    def _send(
        self, stream: socket.socket, answer: Answer, logged: LoggedRequest, stays: bool, *, with_body: bool
    ) -> bool:
        """Sends an answer as its conduct says; returns whether the connection stays open."""
        if answer.conduct is Conduct.RESET:
            logged.status = 0
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if answer.conduct is Conduct.STALL:
            logged.status = 0
            self._wait_for_goodbye(stream)
            return False
        head = _head_of(answer, stays)
        if not with_body:
            stream.sendall(head)
            return stays
        if answer.slice is None and answer.conduct is Conduct.HONEST:
            stream.sendall(head + answer.body)
            logged.bytes_sent = answer.n_bytes
            return stays
        stream.sendall(head)
        return self._send_body(stream, answer, logged) and stays

    def _send_body(self, stream: socket.socket, answer: Answer, logged: LoggedRequest) -> bool:
        """Sends a file's slice, or a body that goes wrong; returns whether all of it was sent."""
        data = answer.body
        if answer.slice is not None:
            with answer.slice.path.open("rb") as file:
                file.seek(answer.slice.first)
                data = file.read(answer.n_bytes)
        if answer.conduct is Conduct.DRIP:
            return self._drip(stream, data, logged)
        end = answer.sent_bytes if answer.conduct is Conduct.DROP else len(data)
        for start in range(0, end, 256 * 1024):
            piece = data[start : min(start + 256 * 1024, end)]
            stream.sendall(piece)
            logged.bytes_sent += len(piece)
        return answer.conduct is Conduct.HONEST

    def _drip(self, stream: socket.socket, data: bytes, logged: LoggedRequest) -> bool:
        """Sends a few bytes at a time: too slow to be useful, too fast for a socket's timeout."""
        for start in range(0, len(data), _DRIP_BYTES):
            if self._stop.wait(_DRIP_EVERY_S):
                return False
            stream.sendall(data[start : start + _DRIP_BYTES])
            logged.bytes_sent += _DRIP_BYTES
        return True

    def _wait_for_goodbye(self, stream: socket.socket) -> None:
        """Sends nothing until the client has closed its side (or sends more) or the server stops."""
        while not self._stop.wait(0.05):
            readable, _, _ = select.select([stream], [], [], 0)
            if readable:
                return


def _read_head(reader: io.RawIOBase | io.BufferedIOBase) -> bytes:
    """A request's head without its empty line; b"" if the client has gone."""
    lines, n_bytes = [], 0
    while (line := reader.readline(_MAX_HEAD_BYTES)) not in (b"\r\n", b""):
        lines.append(line)
        n_bytes += len(line)
        if n_bytes > _MAX_HEAD_BYTES:
            raise ValueError("request head too long")
    return b"".join(lines) if line else b""


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """(method, target, headers by lower-case name)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = dict(line.split(":", 1) for line in lines if ":" in line)
    return method, target, {name.strip().lower(): value.strip() for name, value in headers.items()}


def _read_body(reader: io.BufferedIOBase, n_bytes: int) -> Json:
    """A request's JSON body; {} if there is none or it isn't an object."""
    if n_bytes > _MAX_BODY_BYTES:
        raise ValueError("request body too long")
    body = reader.read(n_bytes)
    if len(body) < n_bytes:
        raise ValueError("request body cut off")
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _head_of(answer: Answer, stays: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {'OK' if answer.status < 300 else 'Refused'}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {answer.n_bytes}",
        f"Connection: {'keep-alive' if stays else 'close'}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _user_name(authorization: str) -> str:
    """The user name of a Basic authorization, "" if there is none."""
    try:
        return base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("already closed: %s", error)
