"""The page over HTTP: who may see it, films by range, every page, and nothing that a stranger wrote runs."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hdvila_testing.s3 import s3_server
from manifests.errors import UserError
from pipeline.browse.clip import find_member
from pipeline.browse.filters import read_line
from pipeline.browse.guard import HEADERS
from pipeline.browse.marks import Marks
from pipeline.browse.server import serve
from pipeline.engine.store.store import Store
from tests.pipeline.browse.client import Client
from tests.pipeline.browse.conftest import HOSTILE, a_run
from tests.pipeline.html_page import Page

Look = Callable[[Store], Client]
PATHS = ("/", "/clips", "/clip?id=video000000.1", "/film?id=video000000.1", "/still?id=video000000.1", "/browse.js")


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_or_from_elsewhere_there_is_nothing(finished: Store, look: Look, path: str) -> None:
    client = look(finished)
    assert client.ask(path).status in (200, 303)
    port = client.guard.port
    for headers in (
        {"Cookie": ""},
        {"Cookie": f"hdvila-{port}=wrong"},
        {"Host": f"evil.example:{port}"},
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        refused = client.ask(path, **headers)
        assert refused.status == 403 and client.guard.token not in refused.text and len(refused.body) < 200


def test_the_token_goes_from_the_first_address_into_a_cookie(finished: Store, look: Look) -> None:
    client = look(finished)
    first = client.ask(f"/?token={client.guard.token}", Cookie="")
    assert (first.status, first.headers["Location"]) == (303, "/")
    assert client.ask("/clips", Cookie=first.headers["Set-Cookie"].partition(";")[0]).status == 200
    assert client.ask("/?token=wrong", Cookie="").status == 403
    for page in (client.get("/clips"), client.get("/clip", id="video000000.1")):
        assert client.guard.token not in page.text


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/clip?id=none", "/clips?q=nothing:1"])
def test_every_answer_has_the_headers_that_keep_it_here(finished: Store, look: Look, path: str) -> None:
    answer = look(finished).ask(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/templates/browse.css", "/browse.css/..", "//etc/passwd", "/%2e%2e/run.json", "/run.json"],
)
def test_no_path_leads_to_a_file(finished: Store, look: Look, path: str) -> None:
    assert look(finished).ask(path).status == 404


@pytest.mark.parametrize("clip_id", ["../../run.json", "x' OR '1'='1", "%", "", "video000000.1\0", "x" * 5000])
def test_no_id_leads_anywhere_but_through_the_tables(finished: Store, look: Look, clip_id: str) -> None:
    client = look(finished)
    assert {client.get(path, id=clip_id).status for path in ("/clip", "/film", "/still")} == {404}


@pytest.mark.parametrize("line", ["nothing:1", "words:x"])
def test_a_wrong_line_is_said_on_the_page(finished: Store, look: Look, line: str) -> None:
    client = look(finished)
    answer = client.get("/clips", q=line)
    assert (answer.status == 400 and "nothing is called" in answer.text) or "takes a number" in answer.text
    assert client.get("/clips").status == 200


def test_a_film_comes_by_range_as_it_lies_in_the_shard(finished: Store, look: Look) -> None:
    client = look(finished)
    row = client.rows.of_kind("clip", "video000000.1")
    assert row
    whole = find_member(finished, row, "mp4").read(finished, 1 << 24)
    path, n = "/film?id=video000000.1", len(whole)
    assert client.ask(path).body == whole
    for asked, first, end in (
        ("bytes=0-", 0, n),
        ("bytes=5-9", 5, 10),
        (f"bytes={n - 3}-{n + 99}", n - 3, n),
        ("bytes=-7", n - 7, n),
        (f"bytes=-{n + 5}", 0, n),
    ):
        got = client.ask(path, Range=asked)
        assert (got.status, got.body) == (206, whole[first:end])
        assert got.headers["Content-Range"] == f"bytes {first}-{end - 1}/{n}"
    for asked in (f"bytes={n}-", "bytes=9-5", "bytes=-0"):
        got = client.ask(path, Range=asked)
        assert (got.status, got.headers["Content-Range"]) == (416, f"bytes */{n}")
    for asked in ("bytes=0-1,3-4", "words=1-2", "bytes=-", "bytes=a-b"):
        assert client.ask(path, Range=asked).body == whole, "no single range of bytes: as if none were asked for"
    head = client.ask(path, method="HEAD")
    assert (head.body, head.headers["Content-Length"]) == (b"", str(n))


def test_the_pages_show_what_was_kept_and_what_was_not(finished: Store, look: Look) -> None:
    client = look(finished)
    clips = Page(client.get("/clips").text).text
    for said in ("12 clips", "this is sentence 1 of video video000000", "silent", "over_quota", "as the test asked"):
        assert said in clips
    videos = Page(client.get("/clips", q="of:videos reason:private").text).text
    assert "sign in to see it" in videos and "1 videos" in videos
    groups = Page(client.get("/clips", q="group:reason").text)
    assert "over_quota" in groups.text and any("reason%3Aover_quota" in link for link in groups.links)
    clip = Page(client.get("/clip", id="video000000.1").text)
    assert "video" in clip.tags and clip.text.count("sentence") >= 2 and "hdvila-pipeline why" in clip.text
    silent = Page(client.get("/clip", id="video000001.0").text)
    assert "video" not in silent.tags and "as the test asked" in silent.text


def test_a_clip_without_hashes_is_like_none(finished: Store, look: Look) -> None:
    assert "no hash of its pictures" in look(finished).get("/like", id="video000000.1").text


def test_a_view_has_an_address_and_a_statement_to_share(finished: Store, look: Look) -> None:
    client = look(finished)
    page = client.get("/clips", q='category:Music "sentence 1"')
    shown = Page(page.text)
    assert "hdvila-pipeline sql" in shown.text and "contains(lower(text), lower(&#39;" in page.text
    assert all(client.guard.token not in link for link in shown.links)
    assert client.get("/clips", q=str(read_line('category:Music "sentence 1"'))).status == 200


def test_nothing_that_a_stranger_wrote_runs(hostile: Store, look: Look) -> None:
    client = look(hostile)
    lines = ("", "of:videos", "of:videos status:rejected", "group:channel", "group:licence", f'"{HOSTILE}"', HOSTILE)
    pages = [client.get("/clips", q=line) for line in lines] + [client.get("/clip", id="video000000.1")]
    for answer in pages:
        page = Page(answer.text)
        assert page.tags.count("script") == 1 and not page.handlers and not page.styles and "iframe" not in page.tags
        assert all(re.match(r"/(browse|report|still|film)\b", address) for address in page.loads)
        assert all(re.match(r"/(clips?|mark|review)?\b|#main|https?://", link) for link in page.links)
        assert not any(link.startswith("javascript:") for link in page.links)
    assert "onerror=alert(1)" in Page(pages[0].text).text, "it is shown as text"


def test_a_damaged_shard_is_named_and_all_else_is_shown(tmp_path: Path, look: Look) -> None:
    store = a_run(tmp_path / "out")
    client = look(store)
    row = client.rows.of_kind("clip", "video000000.1")
    assert row
    tar = Path(store.root) / row["tar"]
    tar.write_bytes(bytes(len(tar.read_bytes())))
    clip = client.get("/clip", id="video000000.1")
    assert clip.status == 200 and row["tar"] in clip.text and "cannot be played" in clip.text
    film = client.get("/film", id="video000000.1")
    assert film.status == 502 and row["tar"] in film.text
    assert client.get("/clips").status == 200


@pytest.mark.slow
def test_a_bucket_is_looked_at_as_a_disk_is_and_its_failure_is_said(look: Look) -> None:
    with s3_server() as s3:
        store = s3.store("run")
        a_run_in(store)
        client = look(store)
        film = client.ask("/film?id=video000000.1", Range="bytes=4-7")
        assert (film.status, film.body) == (206, b"ftyp")
        assert client.get("/still", id="video000000.1").body[:2] == b"\xff\xd8"
    fault = client.get("/film", id="video000000.1")
    assert fault.status == 502 and client.get("/clips").status == 200


def a_run_in(store: Store) -> None:
    """A run of one video in a store."""
    import hdvila_testing.shards as toys

    toys.commit_video(store, "video000000", category_id=10)
    toys.select(store)
    toys.make_shards(store)


def test_a_folder_of_something_else_and_a_port_that_is_taken_are_said(tmp_path: Path, finished: Store) -> None:
    with pytest.raises(UserError, match="no run has written here"):
        serve(Store(str(tmp_path)), "127.0.0.1", 0, Marks(tmp_path / "marks.jsonl"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot listen"):
            serve(finished, "127.0.0.1", port, Marks(tmp_path / "marks.jsonl"))


def test_marks_are_made_by_the_page_alone_and_exported(finished: Store, look: Look, tmp_path: Path) -> None:
    client = look(finished)
    own = {"Origin": client.guard.origin}
    form = {"kind": "clip", "id": "video000000.1", "note": "another language", "from": "video000000.1"}
    for headers in ({}, {"Origin": "http://evil.example"}, {**own, "Cookie": ""}, {"Origin": "null"}):
        assert client.ask("/mark", "POST", urlencode(form), **headers).status == 403
    assert not (tmp_path / "marks.jsonl").exists()
    marked = client.ask("/mark", "POST", urlencode(form), **own)
    assert (marked.status, marked.headers["Location"]) == (303, "/clip?id=video000000.1")
    assert (
        client.ask("/mark", "POST", "kind=video&id=video000001", Origin="null", Sec_Fetch_Site="same-origin").status
        == 303
    )
    for wrong in ("kind=video&id=../../x", "kind=file&id=video000001", "kind=channel&id=", "kind=clip"):
        assert client.ask("/mark", "POST", wrong, **own).status == 404
    assert client.ask("/mark", "POST", "x" * 30_000, **own).status == 400
    assert "another language" in client.get("/clip", id="video000000.1").text
    assert "this is sentence 1" in client.get("/marks").text
    assert client.ask("/marks?as=ids").body == b"video video000001\n"
    assert "attachment" in client.ask("/marks?as=csv").headers["Content-Disposition"]
    client.ask("/mark", "POST", urlencode(form | {"back": "1"}), **own)
    assert "another language" not in client.get("/marks").text


def test_the_report_is_made_of_the_tables_and_leads_to_the_clips(tmp_path: Path, look: Look) -> None:
    store = a_run(tmp_path / "out")
    store.write("report/index.html", b"<script>alert('a stranger wrote this file')</script>")
    client = look(store)
    report = client.get("/report")
    page = Page(report.text)
    assert "Funnel" in page.text and "a stranger wrote" not in report.text
    assert "/clips?q=of%3Aclips%20reason%3Asilent" in page.links
    assert client.get("/clips", q="of:clips reason:silent").status == 200
    assert "script-src 'sha256-" in report.headers["Content-Security-Policy"]
    assert all(address.startswith("data:") for address in page.loads)
