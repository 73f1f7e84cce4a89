"""A crawl has its first clip within an hour of its first request, by a clock that only its politeness turns."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from manifests.files import Files
from manifests.settings import load_config
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.demo import pointed_at
from miniyoutube.server import MiniYouTube
from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import CrawlFacts, plan_round
from pipeline.run.aims import aim
from pipeline.run.road import run_pipeline
from pipeline.site import politeness
from tests.pipeline.site.toys import Clock

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "run.yaml"
N_VIDEOS = 600


class FirstPack(BaseException):
    """The first pack is stored: there is a clip."""


def seconds_to_the_first_pack(out: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """Of a crawl as configs/run.yaml has it; the turns and tokens that it waits for are all the time that passes."""
    clock, put = Clock(), Files.put
    begun = clock()

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    def build(self: politeness.BuildPoliteness) -> politeness.Politeness:
        identities = {identity.name: identity.videos_per_hour for identity in self.config.pool()}
        return politeness.Politeness(self.config.politeness, identities, clock=clock)

    def put_and_stop(files: Files, local: Path, path: str) -> None:
        put(files, local, path)
        if path.startswith("packs/"):
            raise FirstPack

    monkeypatch.setattr(politeness, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    monkeypatch.setattr(politeness.BuildPoliteness, "__call__", build)
    monkeypatch.setattr(Files, "put", put_and_stop)
    changes = ["engine.executor=local", "crawl.limits.min_duration_s=5", "text.transcript.min_words=3"]
    with MiniYouTube(a_catalogue(N_VIDEOS, misbehaving=0.5, behaviours=("private", "no_captions"))) as site:
        config = pointed_at(site, load_config(RunConfig, CONFIG, [f"out={out}", *changes]))
        with pytest.raises(FirstPack):
            run_pipeline(config)
    return clock() - begun


def test_the_first_round_and_a_fetch_take_an_identity_no_hour() -> None:
    config = load_config(RunConfig, CONFIG)
    (identity,) = config.crawl.pool()
    first = plan_round(config.crawl, CrawlFacts(), aim(balance_of(config), {}))

    assert len(first.asks) + sum(first.n_candidates.values()) + 1 < identity.videos_per_hour


@pytest.mark.long
def test_the_first_clip_is_there_within_an_hour_with_one_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    took_s = seconds_to_the_first_pack(tmp_path, monkeypatch)

    assert took_s < 3600
