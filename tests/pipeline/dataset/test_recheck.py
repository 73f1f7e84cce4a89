"""`recheck` proposes what is gone at the site, and nothing that is only refused; asked through the real yt-dlp."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import hdvila_testing.shards as toys
from manifests.exits import NothingMatched
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.cli import app
from pipeline.dataset import recheck as module
from pipeline.dataset.recheck import Rechecked, recheck
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import SharedHere
from pipeline.outdir.due import GONE, RECHECK
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import BuildPoliteness
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for


class Site:
    """A mini-YouTube, a data set of its videos, and the ids by behaviour."""

    def __init__(self, site: MiniYouTube, folder: Path) -> None:
        self.site, self.store = site, Store(str(folder))
        self.identities = ("one",)
        self.ids = {video.behaviour: video.video_id for video in site.catalogue.videos}
        for video_id in self.ids.values():
            toys.commit_video(self.store, video_id, n_clips=1)
        toys.select(self.store)
        toys.make_shards(self.store)

    def recheck(self, **how: int) -> Rechecked:
        config = config_for(self.site, identities=self.identities)
        return recheck(self.store, config, SharedHere(BuildPoliteness(config, self.store)()), **how)

    def listed(self) -> list[str]:
        lines = self.store.read(GONE).decode().splitlines() if self.store.exists(GONE) else []
        return [line for line in lines if line.startswith("video ")]


@contextmanager
def served(folder: Path, *behaviours: str) -> Iterator[Site]:
    with MiniYouTube(one_of_each(behaviours), draw="lazily") as site:
        yield Site(site, folder)


def test_what_is_gone_is_proposed_and_what_is_refused_is_not(tmp_path: Path) -> None:
    with served(tmp_path / "out", "private", "terminated", "geo", "members", "bot_check_once") as here:
        before = {path: path.read_bytes() for path in (tmp_path / "out/shards").rglob("*.tar")}
        found = here.recheck()

        gone = {here.ids["private"]: "private", here.ids["terminated"]: "unavailable"}
        assert {name: why.partition(":")[0] for name, why in found.gone.items()} == gone
        assert found.n_there == 2 and found.open == {"geo_blocked": 1, "members_only": 1}
        assert before == {path: path.read_bytes() for path in (tmp_path / "out/shards").rglob("*.tar")}
        assert here.listed() == [f"video {name}  # {found.gone[name]}" for name in sorted(gone)]

        done = CliRunner().invoke(app, ["remove", str(tmp_path / "out"), "--ids", found.path, "--purge"])
        assert done.exit_code == 0 and "2 samples removed" in done.output and here.listed() == []


def test_to_an_identity_that_is_blocked_midway_nothing_is_gone(tmp_path: Path) -> None:
    with served(tmp_path / "out", "manual_gone", "captions_404") as here:
        here.site.misbehave(Fault("player", "removed", after=1))

        found = here.recheck()

        assert found.n_there == 1 and not found.gone and here.listed() == []
        assert [len(doubted) for doubted in found.doubted.values()] == [2]


def test_nor_to_one_that_is_shown_nothing_from_the_start(tmp_path: Path) -> None:
    with served(tmp_path / "out", "private", "terminated") as here:
        remove(here.store, Tombstones(frozenset({here.ids["good"]})))

        found = here.recheck()

        assert not found.gone and len(found.doubted["one"]) == 2 and here.listed() == []


def test_a_sample_is_the_seeds_and_no_other_video_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path / "out", "captions_404", "live", "manual_gone") as here:
        assert here.recheck(n_videos=2, seed=5).n_videos == 4
        first = set(here.site.log.per_video())
        here.recheck(n_videos=2, seed=5)
        assert set(here.site.log.per_video()) == first and len(first) == 2


def test_one_that_was_ended_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def until_two_came(answers: Iterable[Any], *_: object) -> Iterator[Any]:
        yield from islice(answers, 2)
        raise KeyboardInterrupt

    behaviours = ("private", "terminated", "captions_404", "manual_gone")
    with served(tmp_path / "out", *behaviours) as here:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, "counted", until_two_came)
            here.recheck(seed=5)
        (asking,) = [thread for thread in threading.enumerate() if thread.name == "recheck"] or [None]
        if asking:
            asking.join()
        first = here.site.log.per_video()

        found = here.recheck(seed=5)

        again = [name for name, counts in here.site.log.per_video().items() if name in first and counts != first[name]]
        assert len(first) <= 3 and len(again) <= 1, "the one under way, whose answer nobody took"
        assert (found.n_there, len(found.gone)) == (3, 2) and len(here.listed()) == 2
        assert not here.store.exists(RECHECK)


def test_all_identities_ask_side_by_side(tmp_path: Path) -> None:
    with served(tmp_path / "out", "captions_404", "manual_gone", "private") as here:
        here.identities = ("one", "two")

        found = here.recheck()

        assert (found.n_there, len(found.gone)) == (3, 1)
        assert {request.identity for request in here.site.log if request.video_id} == {"one", "two"}


def test_the_command_says_where_no_video_is_of_the_site(tmp_path: Path) -> None:
    toys.a_data_set(tmp_path / "out", n_videos=1, n_clips=1, prefix="a-film-of-ones-own")
    (tmp_path / "run.yaml").write_text(f"out: {tmp_path / 'out'}\n")

    done = CliRunner().invoke(app, ["recheck", str(tmp_path / "run.yaml"), "--sample", "5"])

    assert isinstance(done.exception, NothingMatched) and "no video of the site" in str(done.exception)
