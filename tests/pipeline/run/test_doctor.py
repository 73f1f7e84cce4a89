"""The doctor finds what is missing and says how to cure it."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import Secret, SecretStr

from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.config.crawl import IdentityConfig
from pipeline.config.run_config import EngineConfig
from pipeline.run import doctor
from pipeline.run.doctor import FAIL, OK, WARN, Finding
from pipeline.run.dry_run import dry_run
from pipeline.site.ytdlp import YT_DLP_VERSION
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for

NETSCAPE = "# Netscape HTTP Cookie File\n"


def run_config(folder: Path, **parts: Any) -> RunConfig:
    return RunConfig(out=str(folder / "out"), **parts)


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings}


def test_a_machine_that_has_all_is_told_so(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        config = run_config(tmp_path, crawl=config_for(site))
        good = site.catalogue.videos[0].video_id
        findings = list(doctor.examine(config, canary=good))
    assert [finding for finding in findings if finding.state == FAIL] == []
    assert states(findings)["canary"] == OK
    assert states(findings)["the site"] == OK
    assert "planted" not in json.dumps([str(finding) for finding in findings])


def test_every_fault_comes_with_a_cure(tmp_path: Path) -> None:
    who = IdentityConfig(name="one", proxy=SecretStr("http://u:planted@127.0.0.1:9"), cookies=tmp_path / "none.txt")
    crawl = RunConfig(out="x").crawl.model_copy(update={"identities": (who,)})
    config = run_config(tmp_path / "a-file", crawl=crawl, engine=EngineConfig(ray_address="127.0.0.1:9"))
    (tmp_path / "a-file").write_text("in the way")
    findings = list(doctor.examine(config))
    found = states(findings)
    assert {name for name, state in found.items() if state == FAIL} == {
        "cookies of one", "proxy of one", "output", "ray", "the site",
    }  # fmt: skip
    assert all(finding.cure for finding in findings if finding.state != OK)
    assert "planted" not in str(findings)


@pytest.mark.parametrize("source", ["folder", "lists"])
def test_a_run_that_asks_no_site_is_checked_for_none_and_promised_no_requests(tmp_path: Path, source: str) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "list.csv").write_text("url\nhttps://example.org/a.mp4\n")
    crawl = {"sources": [source], "lists": {"files": [str(tmp_path / "list.csv")]}}
    parts = {"crawl": crawl, "folder": {"path": tmp_path / "films"}, "balance": {"total": 10}}
    config = RunConfig.model_validate({"out": str(tmp_path / "out"), **parts})

    checked = set(states(list(doctor.examine(config))))
    assert not checked & {"yt-dlp", "yt-dlp options", "pace", "requests", "the site"}
    assert not any(line.startswith(("requests", "videos to fetch")) for line in dry_run(config))


@pytest.mark.parametrize(("days", "state"), [(3, OK), (90, WARN), (400, FAIL)])
def test_an_old_yt_dlp_is_told_by_its_version(days: int, state: str) -> None:
    made = datetime.strptime(".".join(YT_DLP_VERSION.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC)
    assert doctor.check_yt_dlp_age(made + timedelta(days=days)).state == state


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (f"{NETSCAPE}.youtube.com\tTRUE\t/\tTRUE\t4102444800\tSID\tplanted\n", OK),
        (f"{NETSCAPE}.youtube.com\tTRUE\t/\tTRUE\t1000\tSID\tplanted\n", FAIL),
        (f"{NETSCAPE}.example.org\tTRUE\t/\tTRUE\t4102444800\tSID\tplanted\n", FAIL),
        ("nothing", FAIL),
    ],
    ids=["good", "have expired", "of another site", "no cookie file"],
)
def test_cookies_are_looked_at_before_the_crawl(tmp_path: Path, content: str, state: str) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(content)
    found = doctor.check_cookies(IdentityConfig(name="one", cookies=path))
    assert found.state == state
    assert "planted" not in str(found)


def test_a_proxy_is_tried(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = SecretStr(f"http://u:planted@127.0.0.1:{server.getsockname()[1]}")
        found = doctor.check_proxy(IdentityConfig(name="one", proxy=proxy))
    assert found.state == OK
    assert "planted" not in found.found


def test_the_output_is_left_as_it_was(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    assert doctor.check_store(config).state == OK
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bucket_is_tried(tmp_path: Path) -> None:
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options: dict[str, Any] = {"endpoint_url": f"http://{host}:{port}", "key": "k", "secret": "planted-secret"}
        import s3fs

        s3fs.S3FileSystem(**options).mkdir("a-bucket")
        good = RunConfig(out="s3://a-bucket/set", engine=EngineConfig(storage_options=Secret(options)))
        assert doctor.check_store(good).state in (OK, WARN)
        bad = RunConfig(out="s3://no-such-bucket/set", engine=EngineConfig(storage_options=Secret(options)))
        found = doctor.check_store(bad)
        assert found.state == FAIL
        assert "planted" not in str(found)
    finally:
        server.stop()


def test_the_speed_of_the_scratch_folder_is_measured(tmp_path: Path) -> None:
    started = time.monotonic()
    space, speed = doctor.check_scratch(tmp_path)
    assert speed.found.endswith("written")
    assert list(tmp_path.iterdir()) == []
    assert space.state in (OK, WARN)
    assert time.monotonic() - started < 120
