"""What lies at an address of a list: which is asked for, and how it is known again."""

import functools
import http.server
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hdvila_testing.rows import a_video_row
from hdvila_testing.s3 import s3_server
from manifests.content import HEAD_BYTES
from manifests.reasons import Reason
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import UrlsConfig
from pipeline.crawl.sources.addresses import look, refuse_address
from pipeline.crawl.sources.urls import UrlFetcher, UrlsStage
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Rejected
from pipeline.outdir.retries import request_retries
from pipeline.query.rejects import rejects_in_force
from pipeline.run.road import run_pipeline
from tests.pipeline.crawl.sources.swapped import cut, lay_out, same_head, same_size, swap, two_films


def test_only_named_buckets_are_read() -> None:
    config = UrlsConfig(buckets=("s3://mine",))
    refuse_address("s3://mine/film.mp4", config)
    others = ("s3://mine-too/film.mp4", "s3://other/film.mp4", "gs://mine/film.mp4", "memory://mine/x", "/etc/passwd")
    for url in others:
        with pytest.raises(Rejected, match="bad_address"):
            refuse_address(url, config)


class Site(http.server.SimpleHTTPRequestHandler):
    """Serves a folder. `tags`: what ETag a path has; of other paths there is none. `in_parts`: also parts of a file."""

    tags: Callable[[str], str] = staticmethod(lambda path: "")
    in_parts: bool = True

    def do_GET(self) -> None:
        asked, path = self.headers.get("Range"), Path(self.translate_path(self.path))
        if not (self.in_parts and asked):
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def end_headers(self) -> None:
        if tag := type(self).tags(self.path):
            self.send_header("ETag", tag)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_films(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """(its folder, its address)."""
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
    Site.tags, Site.in_parts = staticmethod(lambda path: ""), True


def config_of(out: Path, table: Path) -> RunConfig:
    tree = {
        "out": str(out),
        "crawl": {"sources": ["lists"], "lists": {"files": [str(table)]}, "retry_wait_s": 0},
        "urls": {"allow_private": True, "gap_s": 0},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": 180}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    return parse_config(RunConfig, tree, source="test")


def listed(table: Path, address: str, **more: str) -> Path:
    """A list of the site's two films."""
    rows = [{"id": f"film-{k}", "url": f"{address}/film-{k}.mp4"} for k in range(2)]
    more = more or {"caption_url": f"{address}/film-K.en.vtt"}
    rows = [row | {name: value.replace("-K", f"-{k}") for name, value in more.items()} for k, row in enumerate(rows)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


class AtOnce:
    """Hosts that may be asked at any time."""

    def turn(self, host: str, gap_s: float, patience_s: float) -> float:
        return 0.0

    def answered(self, host: str) -> None:
        """Goes on."""

    def refused(self, host: str, least_s: float = 0.0) -> float:
        return 0.0


def reasons(out: Path) -> dict[str, tuple[str, str]]:
    rows = rejects_in_force(Store(str(out)), "clip_id = ''").to_pylist()
    return {row["video_id"]: (row["reason"], row["class"]) for row in rows}


WAYS = "other size", "same size and head", "behind a tag that is another each time"


@pytest.mark.slow
@pytest.mark.parametrize("way", [pytest.param(WAYS[0], marks=pytest.mark.long), *WAYS[1:]])
def test_films_swapped_behind_their_addresses_are_never_cut_with_each_others_text(
    drawn: list[Path], site: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    (folder, address), out = site, tmp_path / "out"
    lay_out(drawn, folder)
    if way == "same size and head":
        same_head(folder, HEAD_BYTES)
        same_size(folder)
    if way == "behind a tag that is another each time":
        numbers = itertools.count()
        Site.tags = staticmethod(lambda path: f'"{next(numbers)}"')
    config = config_of(out, listed(tmp_path / "t.jsonl", address))
    run_pipeline(config)
    if way == "behind a tag that is another each time":
        assert not list(cut(out)) and set(reasons(out).values()) == {("changed", "later")}
        run_pipeline(config)
    before = sorted((width, text) for _, width, text in cut(out))
    assert [(width, f"number {k} " in text) for k, (width, text) in enumerate(before)] == [(320, True), (336, True)]

    swap(folder, ".mp4", ".en.vtt")
    run_pipeline(config, redo="media")

    assert not list(cut(out)) and set(reasons(out).values()) == {("changed", "later")}
    caplog.clear()
    with caplog.at_level(logging.WARNING, "hdvila"):
        run_pipeline(config)
    assert sorted((width, text) for _, width, text in cut(out)) == before and reasons(out) == {}
    assert [r.getMessage() for r in caplog.records if "looked at anew" in r.getMessage()] == [
        "2 films have changed since they were looked at: they are looked at anew"
    ]


@pytest.mark.slow
def test_a_film_whose_text_came_with_its_list_is_not_cut_once_it_was_replaced(
    drawn: list[Path], site: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another look gives no other text: a person says when the list is right again."""
    (folder, address), out = site, tmp_path / "out"
    lay_out(drawn, folder)
    config = config_of(out, listed(tmp_path / "t.jsonl", address, caption="film number -K", clips="[[0.2, 3.8]]"))
    run_pipeline(config)
    assert len(list(cut(out))) == 2

    swap(folder, ".mp4")
    run_pipeline(config, redo="media")
    assert not list(cut(out)) and set(reasons(out).values()) == {("keeps_changing", "never")}
    run_pipeline(config)
    assert not list(cut(out))

    table = listed(tmp_path / "t.jsonl", address, caption="the other film, not -K", clips="[[0.2, 3.8]]")
    request_retries(Store(str(out)), ["keeps_changing"])
    with caplog.at_level(logging.WARNING, "hdvila"):
        run_pipeline(config)
    assert f"{table}: has changed since the last run" in caplog.text
    assert [text for _, _, text in sorted(cut(out))] == ["the other film, not -0", "the other film, not -1"]


FILM = bytes(200_000)
CHANGES = {
    "size": FILM + b"x",
    "head": b"x" + FILM[1:],
    "middle": FILM[:100_000] + b"x" + FILM[100_001:],
    "tail": FILM[1:] + b"x",
}


@pytest.mark.parametrize(
    ("tag", "in_parts", "changed"),
    [
        *(('"one"', True, changed) for changed in ("size", "head", "tag", "")),
        *(("", True, changed) for changed in ("size", "head", "middle", "tail", "")),
        *(("", False, changed) for changed in ("size", "head", "")),
    ],
)
def test_what_comes_is_compared_with_what_was_looked_at(
    site: tuple[Path, str], tmp_path: Path, tag: str, in_parts: bool, changed: str
) -> None:
    folder, address = site
    film = folder / "film.mp4"
    stage = UrlsStage(UrlsConfig(allow_private=True, gap_s=0), CrawlConfig(retry_wait_s=0), AtOnce())
    context = Context(Store(str(tmp_path / "out")), tmp_path, time.monotonic() + 60)
    film.write_bytes(FILM)
    Site.tags, Site.in_parts = staticmethod(lambda path: tag), in_parts
    seen = look(f"{address}/film.mp4", stage, 1.0)
    row = a_video_row("v", url=f"{address}/film.mp4")
    video = row | {"media_bytes": seen.bytes_, "media_hash": seen.hash_, "media_stamp": seen.stamp}
    assert seen.bytes_ == len(FILM)

    if changed == "tag":
        Site.tags = staticmethod(lambda path: '"other"')
    film.write_bytes(CHANGES.get(changed, FILM))

    if not changed:
        assert UrlFetcher(stage, 10**6)(video, context).stat().st_size == len(FILM)
        return
    with pytest.raises(Rejected, match="when it was looked at") as refused:
        UrlFetcher(stage, 10**6)(video, context)
    assert refused.value.reason is Reason.CHANGED


@pytest.mark.slow
def test_an_object_in_a_bucket_is_known_by_its_tag_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = UrlsStage(UrlsConfig(buckets=("s3://bucket",)), CrawlConfig(retry_wait_s=0), AtOnce())
    context = Context(Store(str(tmp_path / "out")), tmp_path, time.monotonic() + 60)
    with s3_server() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        s3.store("").write("film.mp4", bytes(200_000))
        seen = look("s3://bucket/film.mp4", stage, 1.0)
        row = a_video_row("v", url="s3://bucket/film.mp4")
        video = row | {"media_bytes": seen.bytes_, "media_hash": seen.hash_, "media_stamp": seen.stamp}
        assert UrlFetcher(stage, 10**6)(video, context).stat().st_size == seen.bytes_ == 200_000

        s3.store("").write("film.mp4", bytes(199_999) + b"x")
        with pytest.raises(Rejected, match=r"ETag .* when it was looked at"):
            UrlFetcher(stage, 10**6)(video, context)
        with pytest.raises(Rejected, match="no such object"):
            look("s3://bucket/none.mp4", stage, 1.0)
