"""What the doctor finds out by asking: the site, and who helps with it."""

from pathlib import Path

import pytest

from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.run.site_checks import FAIL, OK, WARN, check_data_api
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.run.test_doctor import run_config
from tests.pipeline.site.api import KEY, with_key


@pytest.mark.parametrize(
    ("mode", "fault", "state"),
    [(0o600, "", OK), (0o644, "", WARN), (0o600, "quotaExceeded", WARN), (0o600, "keyInvalid", FAIL)],
)
def test_the_doctor_tries_the_key_of_the_data_api(tmp_path: Path, mode: int, fault: str, state: str) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        site.misbehave(*([Fault("data_api", fault)] if fault else []))
        config = run_config(tmp_path, crawl=with_key(site, tmp_path))
        (tmp_path / "key.txt").chmod(mode)
        finding = check_data_api(config)
    assert finding.state == state
    assert bool(finding.cure) == (state != OK)
    assert KEY not in str(finding)
