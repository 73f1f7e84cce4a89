"""Addresses from a table reach public machines only, at each hop, and cost no more than they may."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from manifests.reasons import Reason, ReasonClass
from pipeline.demo.certificate import key_and_certificate
from pipeline.engine.unit import Rejected
from pipeline.site.addresses import Limits, download, is_public, refuse_scheme

BODY = b"x" * 100_000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/").replace("PORT", str(port)))
            self.end_headers()
        elif self.path.startswith("/status/"):
            self.send_error(int(self.path.rpartition("/")[2]))
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
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1",
     "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"],
)  # fmt: skip
def test_private_addresses_are_told_also_where_they_are_wrapped(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["ftp://a.org/x", "file:///etc/passwd", "javascript:1", "http://", "//a.org/x", "http://a b/", "http://a:0/"],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        refuse_scheme(url)
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
