"""Addresses from a table reach public machines only, at each hop, and cost no more than they may."""

import http.client
import http.server
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.reasons import Reason, ReasonClass
from miniyoutube.certificate import key_and_certificate
from pipeline.engine.work.unit import Rejected
from pipeline.site import addresses
from pipeline.site.addresses import Limits, Piece, as_requested, download, piece_of

BODY = bytes(range(250)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/").replace("PORT", str(port)))
            self.end_headers()
        elif self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2]))
        elif self.path.startswith("/part") and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {asked[6:]}/{len(BODY) if self.path == '/part' else '*'}")
            self.send_header("ETag", '"strong"' if self.path == "/part" else 'W/"weak"')
            self.end_headers()
            self.wfile.write(BODY[int(first) : int(last) + 1])
        else:
            self.send_response(200)
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(BODY) + 50 * (self.path == "/short")))
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def secure_site(tmp_path: Path) -> Iterator[str]:
    """The same by TLS, with the certificate that it leaves in `tmp_path`."""
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(key_and_certificate(["localhost"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()


def only_here(address: object) -> bool:
    return str(address) == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "bytes_", "etag"),
    [
        ("/part", len(BODY), '"strong"'),
        ("/part/of/unknown/length/under/a/weak/tag", -1, ""),
        ("/whole", len(BODY), ""),
        ("/endless", -1, ""),
    ],
)
def test_of_a_long_film_the_first_bytes_are_enough(site: str, path: str, bytes_: int, etag: str) -> None:
    found = piece_of(f"{site}{path}", 0, 1000, Limits(1000, may_ask=only_here))

    assert found == Piece(BODY[:1000], bytes_, etag, is_part=path.startswith("/part"))


def test_a_middle_comes_only_where_parts_are_given(site: str) -> None:
    limits = Limits(1000, may_ask=only_here)

    assert piece_of(f"{site}/part", 5000, 1000, limits) == Piece(BODY[5000:6000], len(BODY), '"strong"', is_part=True)
    assert piece_of(f"{site}/whole", 5000, 1000, limits).data == b""


@pytest.mark.parametrize(("path", "reason"), [("/short", "connection_reset"), ("/status/404", "unavailable")])
def test_a_look_that_fails_says_why(site: str, path: str, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        piece_of(f"{site}{path}", 0, 2 * len(BODY), Limits(10**6, may_ask=only_here))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.org/x",
        "file:///etc/passwd",
        "javascript:1",
        "http://",
        "//a.org/x",
        "http://a b/",
        "http://a:0/",
        "http://[::1",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        as_requested(url)
    assert refused.value.reason is Reason.BAD_ADDRESS
    with pytest.raises(Rejected) as refused:
        download(url, Path("/nowhere/f"), Limits(10**6))
    assert refused.value.reason is Reason.BAD_ADDRESS


def test_a_body_comes_as_it_is_where_the_machine_may_be_asked(site: str, tmp_path: Path) -> None:
    download(f"{site}/to/http://127.0.0.1:PORT/film", tmp_path / "f", Limits(10**6, may_ask=only_here))

    assert (tmp_path / "f").read_bytes() == BODY


def test_https_reaches_the_machine_that_was_checked(
    secure_site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Rejected, match="CERTIFICATE_VERIFY_FAILED"):
        download(f"{secure_site}/film", tmp_path / "f", Limits(10**6, may_ask=only_here))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))

    download(f"{secure_site}/film", tmp_path / "f", Limits(10**6, may_ask=only_here))

    assert (tmp_path / "f").read_bytes() == BODY
    with pytest.raises(Rejected, match="localhost is not a public machine"):
        download(f"{secure_site}/film", tmp_path / "g", Limits(10**6))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/to/http://127.0.0.2:PORT/film", Reason.BAD_ADDRESS),
        ("/to/http://169.254.169.254/latest", Reason.BAD_ADDRESS),
        ("/to/file:///etc/passwd", Reason.BAD_ADDRESS),
        ("/to/ftp://127.0.0.1/x", Reason.BAD_ADDRESS),
        ("/to/http://127.0.0.1:0/x", Reason.BAD_ADDRESS),
        ("/status/404", Reason.UNAVAILABLE),
        ("/status/403", Reason.FORBIDDEN),
        ("/status/429", Reason.RATE_LIMITED),
        ("/status/503", Reason.SERVER_ERROR),
        ("/short", Reason.CONNECTION_RESET),
    ],
)
def test_each_failure_has_its_reason_and_a_redirect_is_checked_like_a_first_address(
    site: str, tmp_path: Path, path: str, reason: Reason
) -> None:
    with pytest.raises(Rejected) as refused:
        download(f"{site}{path}", tmp_path / "f", Limits(10**6, may_ask=only_here))
    assert refused.value.reason is reason


def test_nothing_is_asked_of_this_machine_by_default(site: str, tmp_path: Path) -> None:
    for url in (f"{site}/film", site.replace("127.0.0.1", "localhost")):
        with pytest.raises(Rejected) as refused:
            download(url, tmp_path / "f", Limits(10**6))
        assert refused.value.reason is Reason.BAD_ADDRESS and "allow_private" in refused.value.detail


@pytest.mark.parametrize("path", ["/film", "/endless"])
def test_a_body_that_is_too_large_is_left_whether_it_says_so_or_not(site: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(Rejected) as refused:
        download(f"{site}{path}", tmp_path / "f", Limits(1000, may_ask=only_here))
    assert refused.value.reason is Reason.OVERSIZED


def test_a_host_that_does_not_answer_is_tried_later(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        download("http://127.0.0.1:9/", tmp_path / "f", Limits(1000, timeout_s=2, may_ask=only_here))
    assert refused.value.reason.class_ is ReasonClass.LATER


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://bücher.example/é b?q=ü x#part", "http://xn--bcher-kva.example/%C3%A9%20b?q=%C3%BC%20x#part"),
        ("http://b%C3%BCcher.example/x", "http://xn--bcher-kva.example/x"),
        (" http://a.org/a%20b\n", "http://a.org/a%20b"),
        ("http://a.org/?X-Amz-Signature=a%2Fb+c", "http://a.org/?X-Amz-Signature=a%2Fb+c"),
        ("HTTP://user:p%40w@A.org/x", "http://user:p%40w@a.org/x"),
    ],
)
def test_an_address_is_sent_as_browsers_send_it(written: str, sent: str) -> None:
    assert as_requested(written) == sent == as_requested(sent)


def test_a_login_reaches_its_own_host_and_no_redirect(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    class Noting(Handler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization", "")))
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Noting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = f"127.0.0.1:{server.server_address[1]}"
    download(f"http://me:p%40w@{there}/to/http://{there}/é x#part", tmp_path / "f", Limits(10**6, may_ask=only_here))
    server.shutdown()

    assert seen == [(f"/to/http://{there}/%C3%A9%20x", "Basic bWU6cEB3"), ("/%C3%A9%20x", "")]
    assert (tmp_path / "f").read_bytes() == BODY


def opening(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Every address answers so from now on: with this, or by raising it."""

    def opened(*_: Any, timeout: float) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return nullcontext(answer)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)


@pytest.mark.parametrize(
    ("blocks", "seconds", "length", "more", "expected"),
    [
        ([b"12345", b"67890"], [1, 2], "10", {}, b"1234567890"),
        ([b"12345", b"67890"], [1, 2], "", {}, b"1234567890"),
        ([b"12345", b"6789"], [1, 2], "10", {}, "9 of 10 bytes arrived"),
        ([b"12345", b"678901"], [1, 2], "", {}, "more than 10 bytes"),
        ([], [], "11", {}, "11 bytes, the limit is 10"),
        ([b"1"], [30], "odd", {"slowest_bytes_per_s": 1.0}, b"1"),
        ([b"1"], [31], "", {"slowest_bytes_per_s": 1.0}, "1 bytes in 31 s"),
        ([b"12345678"], [32], "", {"slowest_bytes_per_s": 0.25}, b"12345678"),
        ([b"1"], [60], "", {"total_s": 60.0}, b"1"),
        ([b"1"], [61], "", {"total_s": 60.0}, "1 bytes in 61 s"),
    ],
)
def test_a_body_is_taken_within_its_limits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    blocks: list[bytes],
    seconds: list[float],
    length: str,
    more: Any,
    expected: bytes | str,
) -> None:
    times, parts, limits = iter([0.0, *seconds]), iter([*blocks, b""]), Limits(**{"max_bytes": 10, **more})
    opening(monkeypatch, SimpleNamespace(headers={"Content-Length": length}, read=lambda n: next(parts)))
    monkeypatch.setattr(addresses, "time", SimpleNamespace(monotonic=lambda: next(times)))

    if isinstance(expected, bytes):
        download("http://a/", tmp_path / "f", limits)
        assert (tmp_path / "f").read_bytes() == expected
    else:
        with pytest.raises(Rejected) as refused:
            download("http://a/", tmp_path / "f", limits)
        assert refused.value.detail == expected


@pytest.mark.parametrize(
    ("code", "asked", "reason", "retry_after_s"),
    [
        (399, "", Reason.BAD_ADDRESS, None),
        (400, "", Reason.FORBIDDEN, 0.0),
        (404, "", Reason.UNAVAILABLE, 0.0),
        (410, "", Reason.UNAVAILABLE, 0.0),
        (451, "", Reason.UNAVAILABLE, 0.0),
        (429, " 120 ", Reason.RATE_LIMITED, 120.0),
        (429, "99999999", Reason.RATE_LIMITED, 86_400.0),
        (499, "", Reason.FORBIDDEN, 0.0),
        (500, "Fri, 27 Nov 2026 10:00:00 GMT", Reason.SERVER_ERROR, 0.0),
    ],
)
def test_what_a_status_means(
    monkeypatch: pytest.MonkeyPatch, code: int, asked: str, reason: Reason, retry_after_s: float | None
) -> None:
    headers = http.client.HTTPMessage()
    headers["Retry-After"] = asked
    opening(monkeypatch, urllib.error.HTTPError("http://a/", code, "x", headers, None))
    with pytest.raises(Rejected) as refused:
        download("http://a/", Path("f"), Limits(10))

    assert refused.value.reason is reason
    assert retry_after_s is None or refused.value.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "again"), Reason.CONNECTION_RESET, "no such host"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Reason.UNAVAILABLE, "no such host"),
        (urllib.error.URLError(socket.gaierror(socket.EAI_NONAME, "x")), Reason.UNAVAILABLE, "no such host"),
        (TimeoutError("the read operation timed out"), Reason.STALLED, "timed out"),
        (urllib.error.URLError(TimeoutError()), Reason.STALLED, "timed out"),
        (ConnectionResetError("peer"), Reason.CONNECTION_RESET, "ConnectionResetError: peer"),
        (ssl.SSLError("bad"), Reason.CONNECTION_RESET, "SSLError"),
        (http.client.IncompleteRead(b""), Reason.CONNECTION_RESET, "IncompleteRead"),
        (urllib.error.URLError(OSError(113, "No route to host")), Reason.CONNECTION_RESET, "No route"),
        (urllib.error.URLError(Rejected(Reason.BAD_ADDRESS, "private")), Reason.BAD_ADDRESS, "private"),
    ],
)
def test_what_an_error_of_the_net_means(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: Reason, said: str
) -> None:
    opening(monkeypatch, error)
    with pytest.raises(Rejected) as refused:
        download("http://a/", Path("f"), Limits(10))

    assert refused.value.reason is reason and said in refused.value.detail


def test_an_error_of_the_disk_is_no_verdict_on_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(28, "No space left on device")
    opening(monkeypatch, full)
    with pytest.raises(OSError, match="No space") as raised:
        download("http://a/", Path("f"), Limits(10))

    assert raised.value is full
