"""What ends a run before its executor starts: a newcomer learns in seconds what is missing."""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.outage import stopping_by
from manifests.run_status import RunStatus
from manifests.settings import parse_config
from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.store.store import Store
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.run import before, road, session
from pipeline.run.session import open_store
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for


@pytest.fixture(autouse=True)
def no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run of these tests comes as far as its executor."""
    monkeypatch.setattr(session, "build_executor", lambda config: pytest.fail("the executor starts"))


def refused(config: RunConfig) -> UserError:
    with pytest.raises(UserError) as error:
        road.run_pipeline(config)
    return error.value


def run_of(out: Path, crawl: CrawlConfig | dict[str, Any], **sections: Any) -> RunConfig:
    tree = {"out": str(out), "crawl": {} if isinstance(crawl, CrawlConfig) else crawl, **sections}
    config = parse_config(RunConfig, tree, source="test")
    return config.model_copy(update={"crawl": crawl}) if isinstance(crawl, CrawlConfig) else config


@pytest.mark.parametrize("videos", ["nowhere", "."])
def test_a_folder_that_is_missing_or_holds_no_video(tmp_path: Path, videos: str) -> None:
    config = run_of(tmp_path / "out", {"sources": ["folder"]}, folder={"path": str(tmp_path / videos)})

    error = refused(config)
    assert "folder.path" in str(error) and error.exit_code == ExitCode.USER_ERROR


def test_a_mapping_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    folder = {"path": str(tmp_path), "category_from": "mapping", "mapping": str(tmp_path / "none.yaml")}

    assert "folder.mapping" in str(refused(run_of(tmp_path / "out", {"sources": ["folder"]}, folder=folder)))


def test_settings_that_are_mended_after_a_first_refusal_are_those_of_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    folder = {"path": str(tmp_path), "category_from": "mapping"}
    assert "not set" in str(refused(run_of(tmp_path / "out", {"sources": ["folder"]}, folder=folder)))

    (tmp_path / "map.csv").write_text("no list\n")
    folder["mapping"] = str(tmp_path / "map.csv")
    again = refused(run_of(tmp_path / "out", {"sources": ["folder"]}, folder=folder))
    assert "map.csv" in str(again) and "other settings" not in str(again)


@pytest.fixture(scope="module")
def site() -> Any:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as served:
        yield served


def test_a_crawl_without_ffmpeg(tmp_path: Path, site: MiniYouTube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    find_ffmpeg.cache_clear()
    try:
        error = refused(run_of(tmp_path / "out", config_for(site)))
    finally:
        find_ffmpeg.cache_clear()
    assert str(error).startswith("ffmpeg: not found") and error.exit_code == ExitCode.USER_ERROR


def test_a_full_disk(tmp_path: Path, site: MiniYouTube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=9 << 20))

    error = refused(run_of(tmp_path / "out", config_for(site)))
    assert "out: 9 MiB free" in str(error) and error.exit_code == ExitCode.STOPPED


def lost(crawl: CrawlConfig, *names: str) -> CrawlConfig:
    """These identities' proxies are dead."""
    dead = SecretStr("http://127.0.0.1:9")
    pool = tuple(who.model_copy(update={"proxy": dead} if who.name in names else {}) for who in crawl.pool())
    return crawl.model_copy(update={"identities": pool})


def test_a_site_that_answers_nobody_ends_a_first_run_at_once(tmp_path: Path, site: MiniYouTube) -> None:
    began = time.monotonic()

    error = refused(run_of(tmp_path / "out", lost(config_for(site), "one")))

    assert time.monotonic() - began < 30
    assert str(error).startswith("no_network: no answer at all: identity one: ")
    assert error.exit_code == ExitCode.STOPPED


def test_an_identity_without_an_answer_is_named_and_the_others_go_on(tmp_path: Path, site: MiniYouTube, caplog) -> None:
    crawl = lost(config_for(site, identities=("one", "two")), "two")
    config = run_of(tmp_path / "out", crawl)

    before.refuse_what_is_missing(config, open_store(config), StopRequest())
    assert "identity two: " in caplog.text and "identity one" not in caplog.text


def test_any_answer_is_one_the_run_judges_refusals_itself(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as refusing:
        refusing.misbehave(Fault("home", "status", status=429))
        config = run_of(tmp_path / "out", config_for(refusing))
        before.refuse_what_is_missing(config, open_store(config), StopRequest())


def begun(site: MiniYouTube, out: Path, *faults: Fault, outage_s: float = 60.0) -> tuple[RunConfig, Store]:
    """A run whose crawl had answers once, on a site that has these faults now."""
    site.misbehave(*faults)
    config = run_of(out, config_for(site), engine={"outage_s": outage_s})
    store = open_store(config)
    store.commit("list", "a-unit", {})
    return config, store


@pytest.fixture
def failing_site() -> Iterator[MiniYouTube]:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        yield site


def test_a_restart_in_an_outage_waits_until_the_site_answers_again(tmp_path: Path, failing_site: MiniYouTube) -> None:
    config, store = begun(failing_site, tmp_path / "out", Fault("home", "reset", requests=2))

    before.refuse_what_is_missing(config, store, StopRequest())
    assert len([request for request in failing_site.log if request.path == "/"]) == 3


def test_an_outage_longer_than_its_limit_ends_a_restart(tmp_path: Path, failing_site: MiniYouTube) -> None:
    config, store = begun(failing_site, tmp_path / "out", Fault("home", "reset"), outage_s=1.0)

    with pytest.raises(UserError, match=r"no answer at all for 1 s \(engine.outage_s\): identity one") as error:
        before.refuse_what_is_missing(config, store, StopRequest())
    assert error.value.exit_code == ExitCode.STOPPED


def test_a_run_that_waits_for_the_site_hears_a_stop(tmp_path: Path, failing_site: MiniYouTube) -> None:
    config, store = begun(failing_site, tmp_path / "out", Fault("home", "reset"))
    stop = StopRequest(grace_s=0.0, stop_after_s=0.5)

    with pytest.raises(Drained, match="while the site did not answer"), stopping_by(lambda: stop.time_left_s):
        before.refuse_what_is_missing(config, store, stop)


def test_a_complete_run_is_taken_up_without_a_site(tmp_path: Path, failing_site: MiniYouTube, caplog) -> None:
    config, store = begun(failing_site, tmp_path / "out", Fault("home", "reset"), outage_s=0.0)
    store.write("status.json", RunStatus(state="ended").model_dump_json().encode())

    before.refuse_what_is_missing(config, store, StopRequest())
    assert "this one may have nothing to ask" in caplog.text
    store.write("status.json", RunStatus(state="ended", exit_code=ExitCode.INCOMPLETE).model_dump_json().encode())
    with pytest.raises(UserError, match="no answer at all"):
        before.refuse_what_is_missing(config, store, StopRequest())
