"""The fixed cases, each a few commands as a user gives them."""

from __future__ import annotations

import csv
import errno
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvila_testing.s3 import S3
from hdvila_testing.video import a_video
from manifests.exits import ExitCode
from tests.conftest import REPO

PORT = 18_457
"""The films' server: addresses are in the samples, so its port is always the same."""
WAIT_S = 900.0
"""How long another run on this machine may have it."""
SERVED = ("hGsvfOOX4_j", "0pjSTg_blg3", "C2YO3XFvwtC", "fLyv_wv9aBr")
"""Videos among the eight that the demo serves here. The second is not among its four, the last is private."""
SMALL = {
    "seed": 7,
    "text": {"filters": {"max_repeated_share": 1.0}},
    "media": {"duplicates": {"action": "flag"}},
    "balance": {"unit": "clips", "batch_videos": 1, "text_duplicates": {"reuploads": False}},
    "shards": {"max_samples": 2, "split": {"by": "video", "val": 0.4}},
    "engine": {"executor": "local"},
}


@dataclass(frozen=True, slots=True)
class Work:
    """Where cases run: `folder` gets a folder for each case's output, `s3` holds those of the cases in a bucket."""

    folder: Path
    s3: S3

    @property
    def films(self) -> Path:
        return self.folder / "films"

    def out(self, case: str) -> str:
        return str(self.folder / "out" / case)

    def output_of(self, case: str) -> Path:
        """The output directory of a case on this disk; brought from the bucket if it is there."""
        out = self.out(case)
        if case in IN_A_BUCKET:
            self.s3.store(case).fs.get(f"bucket/{case}/", f"{out}/", recursive=True)
        return Path(out)

    def command(self, program: str, *words: object, may_be_short: bool = False) -> None:
        """Runs a command to its end. Raises SystemExit with its last lines if it fails. It may make less
        than was asked for if `may_be_short`.
        """
        line = [str(Path(sys.executable).with_name(program)), *map(str, words)]
        environment = os.environ | self.s3.environment | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(line, cwd=REPO, env=environment, capture_output=True, text=True)
        if done.returncode and not (may_be_short and done.returncode == ExitCode.INCOMPLETE):
            raise SystemExit(f"{' '.join(line)}\n{(done.stdout + done.stderr)[-4000:]}")

    def pipeline(self, *words: object) -> None:
        self.command("hdvila-pipeline", *words)

    def demo(self, case: str, n_videos: int, settings: Mapping[str, object]) -> None:
        words = ("demo", "--out", self.out(case), "--n-videos", n_videos, *sets(settings))
        self.command("hdvila-pipeline", *words, may_be_short=True)

    def run_of(self, case: str, source: str, *options: str, lists: Mapping[str, Any] = {}, **sections: Any) -> None:
        """`run` with the small settings, the source's section among `sections`."""
        file = self.folder / f"{case}.json"
        out = f"s3://bucket/{case}" if case in IN_A_BUCKET else self.out(case)
        file.write_text(json.dumps({"out": out, "crawl": {"sources": [source], "lists": lists}, **SMALL, **sections}))
        self.pipeline("run", file, *options)

    def copy(self, case: str, of: str) -> str:
        return str(shutil.copytree(self.out(of), self.out(case)))

    def list_of(self, *ids: str) -> Path:
        path = self.folder / "ids.txt"
        path.write_text("\n".join(ids))
        return path


def sets(settings: Mapping[str, object]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def captions(film: str) -> str:
    return (
        f"WEBVTT\n\n00:00.200 --> 00:02.900\nA brown {film} runs slowly over the wide green field.\n\n"
        f"00:03.000 --> 00:05.800\nThen the tired {film} comes back to the old wooden gate.\n"
    )


def draw_films(work: Work) -> None:
    """Films of six seconds, one of them wide, one whose captions come later."""
    work.films.mkdir()
    for n, name in enumerate(("horse", "small", "donkey", "fox")):
        film = work.films / f"{name} [film_{n:06}].mp4"
        a_video(film, seconds=6, gop=25, cuts=(30 * n,) if n else (), height=360 if name == "small" else 720)
        film.with_suffix(".info.json").write_text(json.dumps({"categories": ["Music"], "channel_id": f"channel-{n}"}))
        if name != "fox":
            film.with_suffix(".en.vtt").write_text(captions(name))


def demo(work: Work) -> None:
    """The mini-YouTube's search on two workers of Ray; shards close while media is fetched."""
    batches = {"balance.batch_videos": 2, "balance.batch_candidates": 2, "shards.max_samples": 4}
    work.demo("demo", 8, {"balance.total": 24, "shards.split.val": 0.3, "engine.n_cpus": 2, **batches})


def ids(work: Work) -> None:
    """A list of ids, one of them gone when first asked for, then tried again."""
    given = {"crawl.sources": "[lists]", "crawl.lists.files": f"[{work.list_of(*SERVED)}]", "balance.total": 12}
    given["engine.executor"] = "local"
    work.demo("ids", 4, given)
    work.pipeline("retry", work.out("ids"), "--reason", "bad_answer")
    work.demo("ids", 8, given)


def folder(work: Work) -> None:
    draw_films(work)
    work.run_of("folder", "folder", folder={"path": str(work.films)})


def growing(work: Work) -> None:
    """In a bucket: a run, then again with a larger aim."""
    given = {"path": str(work.films)}
    work.run_of("growing", "folder", "--set", "balance.total=2", folder=given)
    work.run_of("growing", "folder", "--set", "balance.total=4", "--redo", "balance", folder=given)


def retry(work: Work) -> None:
    """A film without captions gets some and is tried again."""
    out = work.copy("retry", of="folder")
    (film,) = work.films.glob("fox*.mp4")
    film.with_suffix(".en.vtt").write_text(captions("fox"))
    work.pipeline("retry", out, "--reason", "no_captions")
    work.run_of("retry", "folder", folder={"path": str(work.films)})


def remove(work: Work) -> None:
    work.pipeline("remove", work.copy("remove", of="folder"), "--ids", work.list_of("film_000000"))
    work.run_of("remove", "folder", folder={"path": str(work.films)})


def purge(work: Work) -> None:
    work.pipeline("remove", work.copy("purge", of="folder"), "--ids", work.list_of("film_000000"), "--purge")


def urls(work: Work) -> None:
    """A table: a film with a track of captions, one with spans and one caption, one that is not there."""
    with films_served(work.films) as site:
        rows = [
            {"id": "track", "url": f"{site}/track.mp4", "caption_url": f"{site}/track.vtt", "category": "Music"},
            {"id": "spans", "url": f"{site}/track.mp4?spans", "caption": "a texture", "clips": "[[1, 3], [3.5, 5]]"},
            {"id": "gone", "url": f"{site}/none.mp4", "caption": "not there", "views": "12"},
        ]
        table = work.folder / "table.csv"
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("id", "url", "caption_url", "category", "caption", "clips", "views"))
            writer.writeheader()
            writer.writerows(rows)
        lists = {"files": [str(table)]}
        work.run_of("urls", "lists", lists=lists, media_urls={"allow": [f"{site}/"]})


@contextmanager
def films_served(films: Path) -> Iterator[str]:
    """Serves the first film as track.mp4."""
    (film,) = films.glob("horse*.mp4")
    site = films.parent / "site"
    site.mkdir()
    shutil.copy(film, site / "track.mp4")
    shutil.copy(film.with_suffix(".en.vtt"), site / "track.vtt")
    with server_of(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{PORT}"
        server.shutdown()


def server_of(site: Path) -> http.server.ThreadingHTTPServer:
    """A server of a folder at PORT; waits while another run on this machine has that."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return http.server.ThreadingHTTPServer(("127.0.0.1", PORT), functools.partial(Quiet, directory=str(site)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
        time.sleep(1.0)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionResetError):  # a client that has read what it wanted goes away
            super().handle()

    def log_message(self, *_: object) -> None:
        """Silent."""


def merge(work: Work) -> None:
    work.pipeline("merge", work.out("folder"), work.out("urls"), "--out", work.out("merge"))


def reshard(work: Work) -> None:
    """Into a bucket, with other splits."""
    sizes = ("--max-samples", 1, "--split-by", "video", "--val", 0.5, "--seed", 3)
    work.pipeline("reshard", work.out("merge"), "--out", "s3://bucket/reshard", *sizes)


def fit(work: Work) -> None:
    """A tiny model's first steps on the demo's clips."""
    given = {"data.manifest": f"{work.out('demo')}/manifest.json", "out": work.out("fit"), "data.workers": 0}
    given |= {"loop.steps": 20, "loop.batch": 8, "observe.every": 1, "eval.attributes": "{}"}
    work.command("hdvila-train", "fit", "train/starts/demo.yaml", *sets(given))


CASES: tuple[Callable[[Work], None], ...] = (
    demo, ids, folder, growing, urls, remove, purge, retry, merge, reshard, fit,
)  # fmt: skip
"""In this order: later ones take what earlier ones made."""
IN_A_BUCKET = ("growing", "reshard")
