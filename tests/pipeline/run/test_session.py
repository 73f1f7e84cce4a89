"""What a run refuses before it writes anything, and how it ends if its store stays away."""

import errno
import time
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.exits import ExitCode
from pipeline.config import RunConfig
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.run.session import StoreAway, open_run


@pytest.mark.parametrize("out", ["videos", "link", "videos/../videos/"])
def test_the_folder_of_videos_is_no_output_directory(tmp_path: Path, out: str) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (tmp_path / "link").symlink_to(videos)
    tree = {"out": f"{tmp_path}/{out}", "folder": {"path": str(videos)}, "crawl": {"sources": ["folder"]}}

    refused = pytest.raises(UserError, match=r"is the folder of videos itself \(folder.path\); choose another, such as")
    with refused, open_run(RunConfig.model_validate(tree)):
        pass
    assert list(videos.iterdir()) == []


def config_on(url: str, outage_s: float) -> RunConfig:
    options = {
        "endpoint_url": "http://127.0.0.1:9",  # nobody listens there
        "key": "x",
        "secret": "x",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    engine = {"executor": "local", "outage_s": outage_s, "storage_options": options}
    return RunConfig.model_validate({"out": url, "crawl": {"sources": ["folder"]}, "engine": engine})


def test_a_store_that_stays_away_ends_the_run_as_the_machine_s_trouble() -> None:
    away = pytest.raises(StoreAway, match=r"the store has not answered for 1 s .* engine\.outage_s")
    with away as ended, open_run(config_on("s3://away/run", 1.0)):
        pass

    assert ended.value.exit_code == ExitCode.STOPPED


def test_a_stop_request_is_heard_while_the_store_does_not_answer() -> None:
    stop = StopRequest(grace_s=1.0)
    stop.request("SIGTERM")
    began = time.monotonic()

    drained = pytest.raises(Drained, match="while the store did not answer")
    with drained as ended, open_run(config_on("s3://away/run", 1800.0), stop=stop):
        pass

    assert time.monotonic() - began < 60
    assert ended.value.exit_code == ExitCode.DRAINED


def test_a_full_disk_of_the_driver_is_the_machine_s_trouble_and_no_error_of_the_program(tmp_path: Path) -> None:
    tree = {"out": str(tmp_path / "out"), "crawl": {"sources": ["folder"]}, "engine": {"executor": "local"}}
    refused = pytest.raises(StoreAway, match=f"{tmp_path}/out or .*: No space left on device; free some space there")

    with refused as ended, open_run(RunConfig.model_validate(tree)):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert ended.value.exit_code == ExitCode.STOPPED
