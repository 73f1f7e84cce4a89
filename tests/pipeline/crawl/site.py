"""What the crawl's tests share: settings that point at a mini-YouTube and are in a hurry, and a short road."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Secret, SecretStr

from manifests.lock import RunLock
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig, LimitsConfig, PolitenessConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import RoundPlan, Wanted
from pipeline.crawl.rounds import rounds, stages_of
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor, LocalExecutor
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import BuildPoliteness

FAST = dict.fromkeys(("list", "page", "player", "caption", "media", "other"), 600000.0)


def no_sleep(n: int) -> float:
    """yt-dlp's wait before try `n` of a request."""
    return 0.0 * n


YDL_OPTS: dict[str, Any] = {
    "nocheckcertificate": True,
    "retry_sleep_functions": {"http": no_sleep, "extractor": no_sleep},
    "socket_timeout": 2.0,
    **dict.fromkeys(("retries", "extractor_retries", "fragment_retries"), 1),
}
"""yt-dlp's options for a mini-YouTube: its certificate is its own, and nothing is worth a wait."""


def asking_as(*clients: str) -> Secret[dict[str, Any]]:
    """These options for yt-dlp's players of these names."""
    return Secret({**YDL_OPTS, "extractor_args": {"youtube": {"player_client": [*clients]}}})


def hurried(**politeness: Any) -> PolitenessConfig:
    """Politeness without waits worth the name."""
    settings: dict[str, Any] = {
        "identity_requests_per_minute": FAST,
        "pauses_s": (0.2, 0.4, 0.8),
        "patience_s": 20.0,
        "later_s": 3600.0,
    }
    return PolitenessConfig(**{**settings, **politeness})


def config_for(site: MiniYouTube, *, identities: tuple[str, ...] = ("one",), **settings: Any) -> CrawlConfig:
    """The crawl's settings for a mini-YouTube; each identity is a network address of its own to the site."""
    pool = tuple(
        IdentityConfig(name=name, proxy=SecretStr(site.proxy_url_of(name)), videos_per_hour=3_600_000)
        for name in identities
    )
    given: dict[str, Any] = {
        "ydl_opts": Secret(YDL_OPTS),
        "identities": pool,
        "politeness": hurried(),
        "limits": LimitsConfig(min_duration_s=5),
        "retry_wait_s": 0.05,
    }
    return CrawlConfig(**{**given, **settings})


@dataclass
class Road:
    """A short road: the crawl, and a text stage that gives each video one clip."""

    store: Store
    config: CrawlConfig
    executor: Executor
    polite: Any
    opt_outs: Tombstones = field(default_factory=Tombstones)
    plans: list[RoundPlan] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, config: CrawlConfig, executor: Executor | None = None, **more: Any) -> "Road":
        """A road that ends in a folder."""
        store = Store(str(folder))
        executor = executor or LocalExecutor(folder / "scratch")
        return cls(store, config, executor, executor.share("politeness", BuildPoliteness(config, store)), **more)

    def crawl(self, quotas: Mapping[int, float], most_rounds: int = 50) -> "Road":
        """Runs rounds until nothing more can be done (or so many)."""
        wanted = Wanted(quotas)
        ledger = CrawlLedger(self.store)
        with RunLock(self.store) as lock:
            for plan in rounds(self.config, self.store, wanted, ledger):
                self.plans.append(plan)
                for stage in stages_of(plan, self.config, self.polite, ledger, self.opt_outs):
                    run_stage(stage, self.store, self.executor, lock)
                run_stage(OneClipEach(), self.store, self.executor, lock)
                if len(self.plans) >= most_rounds:
                    break
        return self

    @property
    def kept(self) -> dict[str, dict[str, Any]]:
        """Rows of `videos` by id."""
        return {row["video_id"]: row for row in self.store.read_table("videos").to_pylist()}

    @property
    def rejects(self) -> dict[str, dict[str, Any]]:
        """The last reject of each video."""
        return {row["video_id"]: row for row in sorted(self.store.read_rejects().to_pylist(), key=lambda r: r["at"])}

    def context(self) -> Context:
        """A unit's surroundings, for calls of single functions."""
        scratch = Path(self.store.root) / "scratch" / str(time.monotonic_ns())
        scratch.mkdir(parents=True)
        return Context(self.store, scratch, time.monotonic() + 60)


@dataclass(frozen=True)
class OneClipEach:
    """In place of the text stages: a clip a video, so that quotas in clips count videos."""

    name: str = "clips"
    resources: Resources = Resources(n_cpus=0.1)

    def units(self, store: Store) -> Iterator[Unit]:
        """A unit each part of `videos`."""
        for part in store.parts("videos"):
            yield Unit(part.unit, part.path)

    def process(self, unit: Unit, context: Context) -> Output:
        """One clip from 0 to 10 s."""
        part = next(part for part in context.store.parts("videos") if part.unit == unit.name)
        rows = context.store.read_part(part, ["video_id", "category_id"]).to_pylist()
        return Output(rows={"clips": [clip_row(row["video_id"], row["category_id"]) for row in rows]})


def clip_row(video_id: str, category_id: int) -> dict[str, Any]:
    """A row of `clips`."""
    return {
        "clip_id": f"{video_id}.0",
        "video_id": video_id,
        "n": 0,
        "start_ms": 0,
        "end_ms": 10_000,
        "text": "a clip",
        "first_word": 0,
        "n_words": 0,
        "category_id": category_id,
        "confidence": 1.0,
        "language": "en",
        "caption_kind": "manual",
        "boundary_model": "punctuation",
        "flags": "[]",
    }
