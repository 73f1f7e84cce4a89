"""One finished crawl for all tests of whole runs."""

import json
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manifests.shards import Manifest, read_manifest
from miniyoutube.server import MiniYouTube
from pipeline.engine.store.store import Store
from pipeline.run.road import run_pipeline
from tests.e2e.small_run import small_catalogue, small_config
from tests.made_once import made_once


@dataclass(frozen=True)
class Facts:
    """What was seen while it ran: `first` is the sha256 of the first manifest, `n_media` how many units of media were
    committed by then. `asked_again` is what a second run asked the site about videos.
    """

    first: str = ""
    n_media: int = 0
    refused_hosts: list[str] = field(default_factory=list)
    n_players: int = 0
    asked_again: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finished:
    """A finished run. Not to be written to."""

    out: Path
    facts: Facts

    @property
    def manifest(self) -> Manifest:
        """The manifest in force."""
        return read_manifest(str(self.out))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = made_once(tmp_path_factory, "small-run", make)
    return Finished(folder / "out", Facts(**json.loads((folder / "facts.json").read_text())))


def make(folder: Path) -> None:
    """Runs to the end in this process, and once more, which finds nothing to do."""
    out = folder / "out"
    first: dict[str, Any] = {}

    def watch() -> None:
        while not (out / "manifest.json").exists():
            if is_over.wait(0.02):
                return
        first.update(first=read_manifest(str(out)).sha256, n_media=len(Store(str(out)).committed("media")))

    is_over, watcher = threading.Event(), threading.Thread(target=watch)
    with MiniYouTube(small_catalogue()) as site:
        watcher.start()
        try:
            assert run_pipeline(small_config(site, out, "engine.executor=local")).exit_code == 0
        finally:
            is_over.set()
            watcher.join()
    with MiniYouTube(small_catalogue()) as again:
        assert run_pipeline(small_config(again, out, "engine.executor=local")).exit_code == 0
    asked = [request.path for request in again.log.of("watch", "player", "caption", "media")]
    refused, n_players = site.log.refused_hosts(), len(site.log.of("player"))
    facts = Facts(**first, refused_hosts=refused, n_players=n_players, asked_again=asked)
    (folder / "facts.json").write_text(json.dumps(asdict(facts)))
