"""The urls source: tables as video2dataset reads them become samples, and what cannot be used says why."""

import csv
import functools
import http.server
import itertools
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hdvila_testing.video import Film, a_video
from manifests.reasons import Reason
from manifests.sample import ReadSample, read_sample
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.crawl.sources.urls import given_spans, video_id_of_row
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Rejected
from pipeline.run.road import run_pipeline

SMALL = {"width": 320, "height": 180}
"""Of the films, and what a run asks for: 720p would take most of the time of these tests."""
PLANTED = "planted-secret"
VTT = "WEBVTT\n\n00:00.200 --> 00:03.800\nA brown dog runs over the green field to the old gate.\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    a_video(folder / "film.mp4", Film(seconds=6, gop=25, **SMALL))
    a_video(folder / "small.mp4", Film(seconds=2, width=160, height=90))
    (folder / "film.vtt").write_text(VTT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def run(out: Path, table: Path, pauses_s: tuple[float, ...] = (60.0,), **urls: Any) -> Store:
    tree = {
        "out": str(out),
        "crawl": {
            "sources": ["lists"],
            "lists": {"files": [str(table)]},
            "retry_wait_s": 0,
            "politeness": {"pauses_s": pauses_s},
        },
        "urls": {"allow_private": True, "gap_s": 0, **urls},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "off"}, "cut": {"min_short_side": SMALL["height"]}},
        "shards": {"split": {"val": 0}},
        "engine": {"executor": "local"},
    }
    run_pipeline(parse_config(RunConfig, tree, source="test"))
    return Store(str(out))


def samples(store: Store) -> dict[str, ReadSample]:
    found = {}
    for tar in Path(store.url).glob("shards/*/*.tar"):
        with tarfile.open(tar) as shard:
            for member in shard:
                if member.name.endswith(".json"):
                    found[member.name[:-5]] = read_sample(shard.extractfile(member).read())  # type: ignore[union-attr]
    return found


def reasons(store: Store) -> dict[str, str]:
    return {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist() if not row["clip_id"]}


@pytest.mark.slow
def test_a_table_of_addresses_becomes_a_data_set(site: str, tmp_path: Path) -> None:
    rows: list[dict[str, str]] = [
        {"id": "track", "url": f"{site}/film.mp4", "caption_url": f"{site}/film.vtt", "category": "Music"},
        {"id": "spans", "url": f"{site}/film.mp4?spans", "caption": "a drifting texture"},
        {"id": "not a valid id!", "url": f"{site}/film.mp4?again", "caption": "the whole film", "views": "12"},
        {"id": "small", "url": f"{site}/small.mp4", "caption": "a small one", "height": "1080"},
        {"id": "gone", "url": f"{site}/none.mp4", "caption": "not there"},
        {"id": "foreign", "url": "ftp://host/film.mp4", "caption": "another scheme"},
        {"id": "silent", "url": f"{site}/film.mp4?silent"},
    ]
    rows[1]["clips"] = '[[1, 3], ["00:00:03.5", "00:00:05"]]'
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)

    store = run(tmp_path / "out", table)

    made = samples(store)
    hashed = video_id_of_row(rows[2])
    assert set(made) == {"track_00000", "spans_00000", "spans_00001", f"{hashed}_00000"}
    assert (made["track_00000"].category, made["track_00000"].text) == ("Music", VTT.splitlines()[3])
    assert [(made[f"spans_0000{n}"].start_ms, made[f"spans_0000{n}"].end_ms) for n in (0, 1)] == [
        (1000, 3000),
        (3500, 5000),
    ]
    whole = made[f"{hashed}_00000"]
    assert (whole.start_ms, whole.end_ms, whole.text) == (0, 6000, "the whole film")
    assert json.loads((whole.model_extra or {})["extra"]) == {"views": "12"}
    assert whole.boundary_model == "given" and "whole_video" in json.loads(whole.flags)
    reason_of = reasons(store)
    assert reason_of["small"] == Reason.BELOW_720P, "a resolution column is not believed"
    assert (reason_of["gone"], reason_of["foreign"], reason_of["silent"]) == (
        "unavailable",
        "bad_address",
        "no_captions",
    )
    kept = store.read_json("manifest.json")["funnel"]["videos"]
    assert (kept["candidates"], kept["kept"], kept["missing"]) == (7, 3, 0)


def test_without_permission_no_private_machine_is_asked(site: str, tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps({"id": "a", "url": f"{site}/film.mp4", "caption_url": f"{site}/film.vtt"}) + "\n")

    store = run(tmp_path / "out", table, allow_private=False)

    assert reasons(store) == {"a": "bad_address"}


@pytest.mark.parametrize("clips", ["[[1]]", "[[2, null]]", '[["x", "y"]]', "[[1, 2, 3]]", "word"])
def test_clips_that_are_no_spans_turn_the_row_away(clips: str) -> None:
    with pytest.raises(Rejected) as refused:
        given_spans({"clips": clips, "caption": "words"})
    assert refused.value.reason is Reason.SPAN_OUTSIDE


class Refusing(http.server.SimpleHTTPRequestHandler):
    """Refuses the first request with 429; every request's time is written down."""

    asked: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self.asked.append(time.monotonic())
        if len(self.asked) > 1:
            super().do_GET()
            return
        self.send_response(429)
        self.send_header("Retry-After", "1")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_a_host_that_refuses_pauses_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    a_video(folder / "film.mp4", Film(seconds=6, gop=25, **SMALL))
    (folder / "film.vtt").write_text(VTT)
    Refusing.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Refusing, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    table = tmp_path / "t.jsonl"
    row = {"id": "a", "url": f"{address}/film.mp4", "caption_url": f"{address}/film.vtt"}
    table.write_text(json.dumps(row) + "\n")

    store = run(tmp_path / "out", table, gap_s=0.6, pauses_s=(0.5,))
    server.shutdown()

    assert set(samples(store)) == {"a_00000"}
    gaps = [later - earlier for earlier, later in itertools.pairwise(Refusing.asked)]
    assert len(gaps) == 3, "the refused request was made again, and the film was looked at and fetched"
    assert gaps[0] > 0.9, "the host said when it may be asked again"
    assert min(gaps[1:]) > 0.4  # of 0.6: a busy machine delays one request and not the next


def test_a_list_whose_clips_all_have_texts_needs_no_track(site: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"url,start,end,caption\n{site}/film.mp4,0.5,2,one\n{site}/film.mp4,3,5,two\n")

    made = samples(run(tmp_path / "out", table))

    assert sorted((one.start_ms, one.text) for one in made.values()) == [(500, "one"), (3000, "two")]


def test_a_signed_address_is_fetched_and_leaves_no_trace(site: str, tmp_path: Path) -> None:
    keys = f"Signature={PLANTED}&X-Amz-Credential={PLANTED}&token={PLANTED}&Expires=99"
    signed = f"{site.replace('://', f'://me:{PLANTED}@')}/film.mp4?take=2&{keys}"
    rows = [
        {"url": signed, "caption": "the whole film, as it was", "thumbnail": f"{site}/film.jpg?w=9&{keys}"},
        {"url": signed.replace("film.mp4", "none.mp4"), "caption": "not there"},
        {"url": f"ftp://me:{PLANTED}@host/film.mp4?{keys}", "caption": "another scheme"},
    ]
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))

    store = run(tmp_path / "out", table)

    (made,) = samples(store).values()
    assert made.url == f"{site}/film.mp4?take=2" and "signed_address" in json.loads(made.flags)
    assert json.loads((made.model_extra or {})["extra"]) == {"thumbnail": f"{site}/film.jpg?w=9"}
    assert sorted(reasons(store).values()) == ["bad_address", "unavailable"]
    said = {str(file): file.read_bytes() for file in Path(store.url).rglob("*") if file.is_file()}
    told = [name for name, content in said.items() if PLANTED.encode() in content]
    told += [t for t in ("videos", "rejects", "clips") if PLANTED in str(rows_of(store, t))]
    assert not told, "Parquet is compressed, so its rows are looked at too"


def rows_of(store: Store, table: str) -> list[Any]:
    found: list[Any] = (store.read_rejects() if table == "rejects" else store.read_table(table)).to_pylist()
    return found
