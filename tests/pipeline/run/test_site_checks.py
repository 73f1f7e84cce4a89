"""What the doctor finds out by asking: the site, and who helps with it."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from miniyoutube.faults import Fault
from miniyoutube.server import MiniYouTube
from pipeline.run.doctor import examine
from pipeline.run.site_checks import FAIL, OK, WARN, check_data_api
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import config_for
from tests.pipeline.run.test_doctor import run_config
from tests.pipeline.site.api import KEY, with_key

REPO = Path(__file__).resolve().parents[3]


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


def test_every_identity_asks_the_site_and_is_named(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(("kids",)), draw="lazily") as site:
        crawl = config_for(site, identities=("home", "office"))
        dead = crawl.pool()[1].model_copy(update={"name": "away", "proxy": SecretStr("http://127.0.0.1:9")})
        crawl = crawl.model_copy(update={"identities": (*crawl.pool(), dead)})
        video_id = site.catalogue.videos[0].video_id
        findings = list(examine(run_config(tmp_path, crawl=crawl), canary=video_id))
    states = {finding.name: finding.state for finding in findings}
    assert [states[f"the site as {name}"] for name in ("home", "office", "away")] == [OK, OK, FAIL]
    assert [states[f"canary as {name}"] for name in ("home", "office", "away")] == [OK, OK, FAIL]


PLUGIN = '''
import json

from yt_dlp.extractor.youtube.pot.provider import PoTokenProvider, PoTokenResponse, register_provider
from yt_dlp.networking.common import Request


@register_provider
class BgUtilHTTPPTP(PoTokenProvider):
    """Ours, in place of the common plugin: asks the provider as that one does."""

    PROVIDER_VERSION, BUG_REPORT_LOCATION = "1", "nowhere"
    _SUPPORTED_CLIENTS = _SUPPORTED_CONTEXTS = _SUPPORTED_EXTERNAL_REQUEST_FEATURES = None

    def is_available(self):
        return True

    def _real_request_pot(self, request):
        base = self._configuration_arg("base_url", casesense=True)[0]
        body = json.dumps({"content_binding": request.visitor_data or request.video_id}).encode()
        headers = {"Content-Type": "application/json"}
        asked = Request(f"{base}/get_pot", data=body, headers=headers, proxies={"all": None})
        return PoTokenResponse(json.load(self._request_webpage(asked, note=False))["poToken"])
'''
"""A provider plugin of yt-dlp: the common one is GPL, and no part of this project."""

CRAWL = """
import json, sys
from pydantic import Secret
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.run.site_checks import check_canary
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import YDL_OPTS, config_for

with MiniYouTube(one_of_each(("good",)), draw="lazily") as site:
    youtube = {"fetch_pot": ["always"], "player_client": ["visionos", "web"]}
    args = {"youtube": youtube, "youtubepot-bgutilhttp": {"base_url": [sys.argv[1]]}}
    crawl = config_for(site).model_copy(update={"ydl_opts": Secret({**YDL_OPTS, "extractor_args": args})})
    config = RunConfig.model_construct(crawl=crawl)
    video = next(video for video in site.catalogue.videos if video.behaviour == "good")
    found = check_canary(config, crawl.pool()[0], video.video_id)
print(json.dumps((found.name, found.state, found.found)))
"""


class Provider(http.server.BaseHTTPRequestHandler):
    """A stand-in of a provider's HTTP protocol: POST /get_pot."""

    asked: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
        self.answer({"poToken": "TOKEN", "contentBinding": "x", "expiresAt": "2030-01-01T00:00:00Z"})

    def answer(self, facts: dict[str, object]) -> None:
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_provider_is_asked_for_tokens_through_the_plugin_that_yt_dlp_finds(provider: str, tmp_path: Path) -> None:
    plugins = tmp_path / "site" / "yt_dlp_plugins" / "extractor"
    plugins.mkdir(parents=True)
    (plugins / "getpot_ours.py").write_text(PLUGIN)
    path = os.pathsep.join([str(REPO), str(tmp_path / "site")])
    command = [sys.executable, "-c", CRAWL, provider]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)

    canary = json.loads(done.stdout.splitlines()[-1])
    assert canary[:2] == ["canary", OK], canary
    assert Provider.asked and {ask["path"] for ask in Provider.asked} == {"/get_pot"}
    assert all(ask["content_binding"] for ask in Provider.asked)
