"""A crawl has its first clip within an hour of its first request, by a clock that only its politeness turns."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import pipeline.cli
from manifests.files import Files
from manifests.settings import load_config
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.demo import pointed_at
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.config.crawl import CrawlConfig
from pipeline.run.first_clip import first_clip_line, first_clip_s
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


@pytest.mark.slow
def test_the_first_clip_is_there_within_an_hour_with_one_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    took_s = seconds_to_the_first_pack(tmp_path, monkeypatch)

    assert took_s < 3600
    assert first_clip_s(load_config(RunConfig, CONFIG), {"here": 150.0}) == pytest.approx(took_s, rel=0.2)


def said_by(*words: str) -> str:
    return CliRunner().invoke(pipeline.cli.app, [*words], env={"COLUMNS": "200"}).output


def test_the_estimate_the_dry_run_and_the_doctor_say_when_the_first_clip_comes() -> None:
    line = first_clip_line(load_config(RunConfig, CONFIG), {"here": 150.0})

    assert "first clip: about 35 min after" in line
    assert line in said_by("estimate", str(CONFIG))
    assert line in said_by("run", str(CONFIG), "--dry-run")
    assert line in said_by("doctor", str(CONFIG), "--offline")


def test_more_identities_have_it_sooner_and_slow_ones_later() -> None:
    def in_s(**identities: float) -> float:
        return first_clip_s(RunConfig(out="out", crawl=CrawlConfig(sources=("search",))), identities)

    assert in_s(a=150.0, b=150.0) < 0.6 * in_s(a=150.0) < in_s(a=150.0) < 0.6 * in_s(a=75.0)


def test_what_a_key_decides_waits_for_no_turn(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("AIza" + "0" * 35)
    crawl = {"sources": ["search"], "categories": [27], "channels": {27: [f"@c{n}" for n in range(9)]}}

    def in_s(**more: object) -> float:
        config = RunConfig.model_validate({"out": "out", "crawl": crawl | more})
        return first_clip_s(config, {"a": 150.0})

    key = {"data_api": {"key_file": str(tmp_path / "key.txt")}}
    assert in_s(**key) == pytest.approx(0.6 * in_s(), rel=0.1)
