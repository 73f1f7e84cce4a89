"""Media at addresses of a list: what is asked for, how it is known again, and what becomes of it."""

import csv
import functools
import http.server
import json
import logging
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hdvila_testing.rows import a_video_row
from hdvila_testing.s3 import s3_server
from hdvila_testing.video import Film, a_video
from manifests.content import HEAD_BYTES
from manifests.errors import ConfigError, UserError
from manifests.reasons import Reason
from manifests.sample import ReadSample, read_sample
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import ListsConfig, MediaUrlsConfig
from pipeline.crawl.sources.media_urls import MediaReader, refuse_address
from pipeline.crawl.sources.urls import UrlFetcher, UrlsStage, given_spans, video_id_of_row
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Rejected
from pipeline.outdir.retries import request_retries
from pipeline.query.rejects import rejects_in_force
from pipeline.report.summary import Delivered
from pipeline.run.road import run_pipeline
from tests.pipeline.crawl.sources.swapped import cut, lay_out, swap, two_films

PLANTED = "planted-secret"
VTT = "WEBVTT\n\n00:00.200 --> 00:03.800\nA brown dog runs over the green field to the old gate.\n"


@dataclass
class Site:
    """A folder served on loopback; `odd`: what its paths answer instead, so many times; `asked`: how often each was."""

    folder: Path
    odd: dict[str, tuple[int, Mapping[str, str], int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def answers(self, path: str, status: int, times: int = 99, **headers: str) -> str:
        """Lets a path answer otherwise; returns its address."""
        self.odd[path] = status, headers, times
        return f"{self.url}/{path}"

    def film(self, data: bytes) -> str:
        (self.folder / "film.mp4").write_bytes(data)
        return f"{self.url}/film.mp4"


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *given: Any, site: Site) -> None:
        self.site = site
        super().__init__(*given, directory=str(site.folder))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.site.asked[path] += 1
        status, headers, times = self.site.odd.get(path, (200, {}, 0))
        if self.site.asked[path] > times:
            super().do_GET()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(b"some")

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    made.folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, site=made)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield made
        server.shutdown()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", Film(seconds=6, gop=25, width=320, height=180))


def reader_of(*allow: str) -> MediaReader:
    return MediaReader(MediaUrlsConfig(allow=allow), CrawlConfig(retry_wait_s=0))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("https://media.example/a film.mp4?take=2", ""),
        ("s3://mine/films/a.mp4", ""),
        ("https://media.example.evil/film.mp4", "not below a prefix"),
        ("https://media.example/films/../../etc", "not below a prefix"),
        ("https://media.example/%2e%2e/film.mp4", "not below a prefix"),
        ("s3://mine/other/a.mp4", "not below a prefix"),
        ("http://169.254.169.254/latest", "not below a prefix"),
        (f"https://me:{PLANTED}@media.example/film.mp4", "signed or holds a login"),
        (f"https://media.example/film.mp4?X-Amz-Signature={PLANTED}", "signed or holds a login"),
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "a video of the site"),
    ],
)
def test_nothing_is_asked_for_but_what_lies_below_an_allowed_prefix(address: str, why: str) -> None:
    config = MediaUrlsConfig(allow=("https://media.example/", "s3://mine/films/"))
    if not why:
        refuse_address(address, config)
        return
    with pytest.raises(Rejected, match=why) as refused:
        refuse_address(address, config)
    assert refused.value.reason is Reason.BAD_ADDRESS and PLANTED not in refused.value.detail


@pytest.mark.parametrize("prefix", ["https://media.example", "s3://", "media.example/", "https://me@media.example/"])
def test_a_prefix_ends_where_a_host_or_a_folder_does(prefix: str) -> None:
    with pytest.raises(ConfigError, match="is no prefix"):
        parse_config(RunConfig, {"out": "out", "media_urls": {"allow": [prefix]}}, source="test")


@pytest.mark.parametrize(
    ("status", "headers", "reason", "n_asked"),
    [
        (404, {}, Reason.UNAVAILABLE, 1),
        (403, {}, Reason.FORBIDDEN, 2),
        (503, {}, Reason.SERVER_ERROR, 2),
        (429, {"Retry_After": "7200"}, Reason.RATE_LIMITED, 2),
        (302, {"Location": "/film.mp4"}, Reason.BAD_ADDRESS, 1),
        (200, {"Content_Length": "99"}, Reason.CONNECTION_RESET, 2),
        (200, {"Content_Length": "999999"}, Reason.OVERSIZED, 1),
    ],
)
def test_what_is_no_answer_has_its_reason(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, Any],
    reason: Reason,
    n_asked: int,
) -> None:
    monkeypatch.setattr("pipeline.crawl.sources.media_urls.LONGEST_WAIT_S", 0.1)
    address = site.answers("odd.mp4", status, **headers)
    with pytest.raises(Rejected) as refused:
        reader_of(f"{site.url}/").fetch(address, tmp_path / "got", 1000)
    assert (refused.value.reason, site.asked["odd.mp4"]) == (reason, n_asked), refused.value.detail
    assert site.asked["film.mp4"] == 0 and (status != 429 or refused.value.retry_after_s == 7200)


def test_a_server_that_is_busy_once_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.film(b"a film")
    reader_of(f"{site.url}/").fetch(site.answers("film.mp4", 503, times=1), tmp_path / "got", 1000)
    assert (tmp_path / "got").read_bytes() == b"a film"


def test_nobody_at_an_address_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        reader_of("http://127.0.0.1:9/").fetch("http://127.0.0.1:9/film.mp4", tmp_path / "got", 1000)
    assert refused.value.reason is Reason.CONNECTION_RESET


FILM = bytes(200_000)


def looked_at_and_fetched(reader: MediaReader, url: str, folder: Path) -> Any:
    """What fetches a film once it was looked at."""
    seen = reader.look(url)
    video = a_video_row("v", url=url) | {"media_bytes": seen.bytes_, "media_hash": seen.hash_}
    context = Context(Store(str(folder / "out")), folder, time.monotonic() + 60)
    assert seen.bytes_ == len(FILM)
    return lambda: UrlFetcher(UrlsStage(reader.config, reader.crawl), 10**6)(video, context)


@pytest.mark.parametrize("changed", [FILM, FILM + b"x", b"x" + FILM[1:]], ids=["same", "size", "head"])
def test_what_comes_is_compared_with_what_was_looked_at(site: Site, tmp_path: Path, changed: bytes) -> None:
    fetch = looked_at_and_fetched(reader_of(f"{site.url}/"), site.film(FILM), tmp_path)
    site.film(changed)
    if changed == FILM:
        assert fetch().stat().st_size == len(FILM)
        return
    with pytest.raises(Rejected, match="when it was looked at") as refused:
        fetch()
    assert refused.value.reason is Reason.CHANGED


@pytest.mark.slow
def test_an_object_in_a_bucket_is_read_and_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of("s3://bucket/")
    with s3_server() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        s3.store("").write("film.mp4", FILM)
        fetch = looked_at_and_fetched(reader, "s3://bucket/film.mp4", tmp_path)
        assert fetch().stat().st_size == len(FILM) > HEAD_BYTES

        s3.store("").write("film.mp4", b"x" + FILM[1:])
        with pytest.raises(Rejected, match="when it was looked at"):
            fetch()
        with pytest.raises(Rejected, match="nothing lies there"):
            reader.look("s3://bucket/none.mp4")


def test_a_list_of_media_is_refused_where_nothing_is_allowed(tmp_path: Path) -> None:
    files = (str(write(tmp_path / "t.csv", [{"url": "https://media.example/a.mp4", "caption": "a film"}])),)
    stage = UrlsStage(MediaUrlsConfig(), CrawlConfig(lists=ListsConfig(files=files)))
    with pytest.raises(UserError, match=r"t\.csv: names media elsewhere; say in media_urls\.allow"):
        next(stage.units(Store(str(tmp_path / "out"))))


@pytest.mark.parametrize("clips", ["[[1]]", "[[2, null]]", '[["x", "y"]]', "[[1, 2, 3]]", "word"])
def test_clips_that_are_no_spans_turn_the_row_away(clips: str) -> None:
    with pytest.raises(Rejected) as refused:
        given_spans({"clips": clips, "caption": "words"})
    assert refused.value.reason is Reason.SPAN_OUTSIDE


def run(out: Path, table: Path, site: Site, redo: str = "") -> Delivered:
    tree = {
        "out": str(out),
        "crawl": {
            "sources": ["lists"],
            "lists": {"files": [str(table)]},
            "retry_wait_s": 0,
            "politeness": {"later_s": 0.01},
        },
        "media_urls": {"allow": [f"{site.url}/"]},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": 180}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    return run_pipeline(parse_config(RunConfig, tree, source="test"), redo=redo)


def write(table: Path, rows: list[dict[str, str]]) -> Path:
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    return table


def samples(out: Path) -> dict[str, ReadSample]:
    found = {}
    for tar in out.glob("shards/*/*.tar"):
        with tarfile.open(tar) as shard:
            for member in shard:
                if member.name.endswith(".json"):
                    found[member.name[:-5]] = read_sample(shard.extractfile(member).read())  # type: ignore[union-attr]
    return found


def reasons(out: Path) -> dict[str, str]:
    rows = rejects_in_force(Store(str(out)), "clip_id = ''").to_pylist()
    return {row["video_id"]: row["reason"] for row in rows}


@pytest.mark.slow
def test_a_table_of_addresses_becomes_a_data_set_and_what_was_busy_comes_a_run_later(
    site: Site, film: Path, tmp_path: Path
) -> None:
    (site.folder / "film.mp4").write_bytes(film.read_bytes())
    a_video(site.folder / "small.mp4", Film(seconds=2, width=160, height=90))
    for name in ("film", "late"):
        (site.folder / f"{name}.vtt").write_text(VTT)
    site.answers("late.vtt", 503, times=2)
    rows = [
        {"id": "track", "url": f"{site.url}/film.mp4", "caption_url": f"{site.url}/film.vtt", "category": "Music"},
        {"id": "late", "url": f"{site.url}/film.mp4?late", "caption_url": f"{site.url}/late.vtt"},
        {"id": "spans", "url": f"{site.url}/film.mp4?spans", "caption": "a drifting texture"},
        {"id": "not a valid id!", "url": f"{site.url}/film.mp4?again", "caption": "the whole film", "views": "12"},
        {"id": "small", "url": f"{site.url}/small.mp4", "caption": "a small one", "height": "1080"},
        {"id": "gone", "url": f"{site.url}/none.mp4", "caption": "not there"},
        {"id": "foreign", "url": "ftp://host/film.mp4", "caption": "another scheme"},
        {"id": "silent", "url": f"{site.url}/film.mp4?silent"},
        {"id": "signed", "url": f"{site.url}/film.mp4?Signature={PLANTED}", "caption": "one that ends"},
    ]
    rows[2]["clips"] = '[[1, 3], ["00:00:03.5", "00:00:05"]]'
    out, hashed = tmp_path / "out", video_id_of_row(rows[3])

    assert run(out, write(tmp_path / "table.csv", rows), site).accounts.is_whole
    assert set(samples(out)) == {"track_00000", "spans_00000", "spans_00001", f"{hashed}_00000"}

    new = {"id": "new", "url": f"{site.url}/film.mp4?new", "caption": "put into the table meanwhile"}
    assert run(out, write(tmp_path / "table.csv", [new, *rows]), site).accounts.lines() == []

    made = samples(out)
    assert made.keys() == {f"{i}_00000" for i in ("track", "late", "spans", hashed, "new")} | {"spans_00001"}
    assert (made["track_00000"].category, made["track_00000"].text) == ("Music", VTT.splitlines()[3])
    times = [(made[f"spans_0000{n}"].start_ms, made[f"spans_0000{n}"].end_ms) for n in (0, 1)]
    assert times == [(1000, 3000), (3500, 5000)]
    whole = made[f"{hashed}_00000"]
    assert (whole.start_ms, whole.end_ms, whole.text) == (0, 6000, "the whole film")
    assert json.loads((whole.model_extra or {})["extra"]) == {"views": "12"}
    assert whole.boundary_model == "given" and "whole_video" in json.loads(whole.flags)
    assert reasons(out) == {
        "small": Reason.BELOW_720P,  # a resolution column is not believed
        "gone": Reason.UNAVAILABLE,
        "foreign": Reason.BAD_ADDRESS,
        "signed": Reason.BAD_ADDRESS,
        "silent": Reason.NO_CAPTIONS,
    }
    store = Store(str(out))
    kept = store.read_json("manifest.json")["funnel"]["videos"]
    assert (kept["candidates"], kept["kept"], kept["missing"]) == (10, 5, 0)
    assert not [file for file in out.rglob("*") if file.is_file() and PLANTED.encode() in file.read_bytes()]
    assert PLANTED not in str([store.read_rejects().to_pylist(), store.read_table("videos").to_pylist()])


@pytest.mark.slow
def test_films_swapped_behind_their_addresses_are_never_cut_with_each_others_text(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first has a track; the text of the second came with its list, so that another look gives no other."""
    lay_out(two_films(tmp_path), site.folder)
    rows = [{"id": f"film-{k}", "url": f"{site.url}/film-{k}.mp4"} for k in range(2)]
    rows[0] |= {"caption_url": f"{site.url}/film-0.en.vtt"}
    rows[1] |= {"caption": "the second film", "clips": "[[0.2, 3.8]]"}
    out, table = tmp_path / "out", write(tmp_path / "t.csv", rows)
    run(out, table, site)
    before = {(video_id, width): text for video_id, width, text in cut(out)}
    assert before.keys() == {("film-0", 320), ("film-1", 336)} and "number 0 " in before["film-0", 320]

    swap(site.folder, ".mp4", ".en.vtt")
    run(out, table, site, redo="media")
    assert not list(cut(out))
    assert reasons(out) == {"film-0": Reason.CHANGED, "film-1": Reason.KEEPS_CHANGING}

    write(table, [rows[0], rows[1] | {"caption": "the other"}])
    request_retries(Store(str(out)), ["keeps_changing"])
    with caplog.at_level(logging.WARNING, "hdvila"):
        run(out, table, site)
    after = {(video_id, width): text for video_id, width, text in cut(out)}
    assert after.keys() == {("film-0", 336), ("film-1", 320)} and reasons(out) == {}
    assert "number 1 " in after["film-0", 336] and after["film-1", 320] == "the other"
    assert "2 films have changed since they were looked at: they are looked at anew" in caplog.text
