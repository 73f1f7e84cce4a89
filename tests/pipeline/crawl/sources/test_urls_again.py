"""The urls source, a run later: what a server lost for a moment comes then, and nothing else comes twice."""

import csv
import functools
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from hdvila_testing.video import Film, a_video
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.engine.store.store import Store
from pipeline.report.summary import Delivered
from pipeline.run.road import run_pipeline

SMALL = {"width": 320, "height": 180}
"""Of the films, and what a run asks for: 720p would take most of the time of these tests."""
VTT = "WEBVTT\n\n00:00.200 --> 00:03.800\nA {} dog runs over the green field to the old gate.\n"


class BusyAtFirst(http.server.SimpleHTTPRequestHandler):
    """Answers 503 to the first two requests, all tries of one run, for each path that `busy` names."""

    busy: frozenset[str] = frozenset()
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        if self.path in self.busy and self.asked[self.path] <= 2:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    a_video(folder / "film.mp4", Film(seconds=6, gop=25, **SMALL))
    for name in "abc":
        (folder / f"{name}.vtt").write_text(VTT.format(name))
    BusyAtFirst.busy, BusyAtFirst.asked = frozenset({"/a.vtt"}), Counter()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(BusyAtFirst, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def row(site: str, name: str) -> dict[str, str]:
    """A row with a caption to fetch."""
    return {"id": name, "url": f"{site}/film.mp4?{name}", "caption_url": f"{site}/{name}.vtt"}


def given(site: str, name: str) -> dict[str, str]:
    """A row with its spans, which makes a transcript without a caption track."""
    return {"id": name, "url": f"{site}/film.mp4?{name}", "clips": "[[1, 3], [4, 5]]", "caption": f"a {name} texture"}


def run(folder: Path, rows: list[dict[str, str]]) -> Delivered:
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "url", "caption_url", "clips", "caption"])
        writer.writeheader()
        writer.writerows(rows)
    tree = {
        "out": str(folder / "out"),
        "crawl": {
            "sources": ["lists"],
            "lists": {"files": [str(table)]},
            "retry_wait_s": 0,
            "politeness": {"later_s": 0.01},
        },
        "urls": {"allow_private": True, "gap_s": 0},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": SMALL["height"]}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    return run_pipeline(parse_config(RunConfig, tree, source="test"))


def clip_ids(folder: Path) -> list[str]:
    return sorted(Store(str(folder / "out")).read_table("clips", ["clip_id"])["clip_id"].to_pylist())


def kept(folder: Path) -> list[int]:
    counts = Store(str(folder / "out")).read_json("manifest.json")["funnel"]["videos"]
    return [counts["candidates"], counts["kept"], counts["missing"]]


def test_a_caption_that_was_busy_comes_with_the_next_run(site: str, tmp_path: Path) -> None:
    rows = [row(site, "a"), row(site, "b"), given(site, "g")]
    assert run(tmp_path, rows).accounts.is_whole
    assert clip_ids(tmp_path) == ["b.0", "g.0", "g.1"]

    again = run(tmp_path, rows)

    assert again.accounts.lines() == []
    assert clip_ids(tmp_path) == ["a.0", "b.0", "g.0", "g.1"]
    assert kept(tmp_path) == [3, 3, 0]


def test_a_row_put_into_the_table_meanwhile_leaves_no_clip_twice(site: str, tmp_path: Path) -> None:
    rows = [row(site, "a"), row(site, "b"), given(site, "g")]
    run(tmp_path, rows)

    again = run(tmp_path, [row(site, "c"), *rows])

    assert again.accounts.lines() == []
    assert clip_ids(tmp_path) == ["a.0", "b.0", "c.0", "g.0", "g.1"]
    assert kept(tmp_path) == [4, 4, 0]
