"""A source and a stage in a package of their own: the code of docs/extending.md, against a feed served here."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from hdvila_testing.video import Film, a_video
from pipeline import read_table
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts
from pipeline.query.funnel import funnel
from tests.foreign_package import program

N_ITEMS = 3
SENTENCES = (
    "the brown horse runs to an old gate in the evening with",
    "we then walked home along that long river without",
)


class Feed:
    """A feed of films with transcripts on loopback; `refused`: how often each path still answers 503."""

    def __init__(self, folder: Path) -> None:
        film = a_video(folder / "film.mp4", Film(seconds=8, gop=25, width=320, height=180))
        self.refused: Counter[str] = Counter()
        self.items = list(range(N_ITEMS))
        feed, data = self, film.read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if feed.refused[self.path] > 0:
                    feed.refused[self.path] -= 1
                    self.send_error(503)
                    return
                kind = self.path.rpartition(".")[2]
                answer = {"mp4": lambda: data, "vtt": lambda: feed.captions(self.path), "xml": feed.xml}[kind]()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def captions(self, path: str) -> bytes:
        """Two sentences; the second one of item 0, and both of item 2, are about rain."""
        k = int(path.removesuffix(".vtt").rpartition("-")[2])
        first, second = (
            f"Number {k}: {said} {'rain' if rains else 'sun'}."
            for said, rains in zip(SENTENCES, (k == 2, k in (0, 2)), strict=True)
        )
        return f"WEBVTT\n\n00:00.200 --> 00:03.800\n{first}\n\n00:04.200 --> 00:07.800\n{second}\n".encode()

    def xml(self) -> bytes:
        items = "".join(
            f"<item><guid>item-{k}</guid><title>{k}</title><category>Music</category>"
            f'<enclosure url="{self.url}/film-{k}.mp4" type="video/mp4"/>'
            f'<p:transcript url="{self.url}/captions-{k}.vtt" type="text/vtt"/></item>'
            for k in self.items
        )
        return f'<rss xmlns:p="https://podcastindex.org/namespace/1.0"><channel>{items}</channel></rss>'.encode()


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    found = Feed(tmp_path)
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def run_yaml(folder: Path, feed: Feed, executor: str = "local", **sections: Any) -> Path:
    tree = {
        "out": "out",
        "crawl": {
            "sources": ["rss"],
            "retry_wait_s": 0,
            "politeness": {"later_s": 0.01},
        },
        "media_urls": {"allow": [f"{feed.url}/"]},
        "sources": {"rss": {"feeds": [f"{feed.url}/feed.xml"]}},
        "text": {"transcript": {"min_words": 3}, "clips": {"min_s": 1, "target_s": 4, "max_s": 5}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": 180}},
        "balance": {"unit": "clips", "text_duplicates": {"reuploads": False}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": executor},
        **sections,
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def kept_in(out: Path) -> list[str]:
    return sorted(row["clip_id"] for row in read_table(str(out), "packs").to_pylist() if not row["reason"])


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.long)])
def test_a_feed_is_read_what_was_refused_is_tried_again_and_what_a_stage_leaves_of_the_clips_is_all_that_others_read(
    feed: Feed, greenery: Path, tmp_path: Path, executor: str
) -> None:
    feed.refused.update({"/feed.xml": 1, "/film-0.mp4": 1, "/captions-1.vtt": 2})
    config = run_yaml(tmp_path, feed, executor, stages={"no_weather": {}})

    first = program("hdvila-pipeline", "run", config, site=greenery, cwd=tmp_path)
    rejects = Store(str(tmp_path / "out")).read_rejects().to_pylist()

    assert first.returncode == 0, first.stdout + first.stderr
    assert [(row["video_id"], row["reason"]) for row in rejects if row["stage"] == "urls__rss"] == [
        ("item-1", "server_error")
    ]
    assert kept_in(tmp_path / "out") == ["item-0.0"]

    feed.items.remove(0)  # a feed forgets its oldest items
    second = program("hdvila-pipeline", "run", config, site=greenery, cwd=tmp_path)

    assert second.returncode == 0, second.stdout + second.stderr
    assert {row["source"] for row in read_table(str(tmp_path / "out"), "videos").to_pylist()} == {"rss"}
    store = Store(str(tmp_path / "out"))
    head = json.loads((tmp_path / "out/manifest.json").read_text())
    dropped = [row for row in store.read_rejects().to_pylist() if row["stage"] == "clips__no_weather"]
    assert sorted((row["video_id"], row["clip_id"], row["reason"]) for row in dropped) == [
        ("item-0", "item-0.1", "greenery.weather"),
        ("item-2", "", "no_clips"),
        ("item-2", "item-2.0", "greenery.weather"),
        ("item-2", "item-2.1", "greenery.weather"),
    ]
    assert kept_in(tmp_path / "out") == ["item-0.0", "item-1.0", "item-1.1"]
    assert sorted(store.read_table("clips")["clip_id"].to_pylist()) == kept_in(tmp_path / "out")
    counts = funnel(store)
    assert counts.clips.adds_up and (counts.clips.candidates, counts.clips.kept) == (6, 3)
    assert counts.clips.by_reason()["greenery.weather"] == 3
    assert check_accounts(store).is_whole
    assert head["config"]["stages.no_weather.weather_word"] == "rain"
    assert head["config"]["stages.no_weather.package"] == "greenery 1.0"

    config = run_yaml(tmp_path, feed, executor)
    refused = program("hdvila-pipeline", "run", config, site=greenery, cwd=tmp_path)
    redone = program("hdvila-pipeline", "run", config, "--redo", "clips", site=greenery, cwd=tmp_path)

    assert refused.returncode == 2 and "run with --redo clips" in refused.stderr, refused.stderr
    assert redone.returncode == 0, redone.stdout + redone.stderr
    assert len(kept_in(tmp_path / "out")) == 6, "without the stage its clips are back"
