"""What `status` counts: what is in force now."""

from pathlib import Path

from typer.testing import CliRunner

from miniyoutube.server import MiniYouTube
from pipeline.cli import app
from pipeline.outdir.retries import request_retries
from pipeline.report.status import read_status
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for

EDUCATION = 27


def test_a_reject_that_a_retry_cured_is_counted_no_more(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("private", "no_captions")), draw="lazily") as site:
        config = config_for(site)
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
        assert read_status(road.store).rejects == {"extract": {"private": 1, "no_captions": 1}}
        private = next(video.video_id for video in site.catalogue.videos if video.behaviour == "private")
        site.relent(private)
        request_retries(road.store, ["private"])
        road = Road.at(tmp_path, config).crawl({EDUCATION: 100.0})
    assert private in road.kept
    assert read_status(road.store).rejects == {"extract": {"no_captions": 1}}


def test_each_identity_and_the_pace_are_shown(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        road = Road.at(tmp_path, config_for(site, identities=("home", "office")))
        road.crawl({EDUCATION: 100.0})
        road.store.write_json("politeness.json", road.polite.snapshot())
    identities = read_status(road.store).identities
    assert [identity["name"] for identity in identities] == ["home", "office"]
    for kind in ("list", "page", "player", "caption"):
        assert sum(identity["requests"].get(kind, 0) for identity in identities) >= 1
    assert sum(identity["answers"] for identity in identities) >= 2
    shown = CliRunner().invoke(app, ["status", "--tables", str(tmp_path)]).stdout
    assert "home" in shown
    assert "the rates allow at most" in shown and "videos an hour" in shown
    assert "binds" in shown
