"""Listed videos in 15 very unequal categories, a third of them misbehaving, crawled on two Ray nodes.

The site counts: one bucket for the whole cluster, every video with its right end, nothing asked twice.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from manifests.lock import RunLock
from manifests.reasons import Reason
from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.misbehave import BEHAVIOURS
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import LimitsConfig
from pipeline.crawl.plan import Wanted
from pipeline.crawl.round_files import category_states
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from pipeline.site.fetch import Fetcher
from pipeline.site.politeness import BuildPoliteness
from tests.pipeline.crawl.site import Road, config_for, hurried
from tests.pipeline.engine.on_ray.test_cluster import started

RATES = {"list": 60_000.0, "page": 1500.0, "player": 6000.0, "caption": 6000.0, "media": 60_000.0, "other": 60_000.0}
LATER_STAGES = frozenset({Reason.DUPLICATE_TEXT})


@dataclass(frozen=True)
class FetchStage:
    """In place of the media stage: fetches, and cuts nothing."""

    fetch: Fetcher
    videos: tuple[dict[str, Any], ...]
    name: str = "media"
    resources: Resources = Resources(n_cpus=0.5, time_limit_s=120)

    def units(self, store: Store) -> Iterator[Unit]:
        """A unit each video."""
        for video in self.videos:
            yield Unit(video["video_id"].replace("-", "_"), video, (video["video_id"],))

    def process(self, unit: Unit, context: Context) -> Output:
        """The size of what came."""
        return Output(facts={"bytes": self.fetch(unit.payload, context).stat().st_size})


def crawl_and_check(n_videos: int, quota: float, folder: Path, executor: Executor, n_fetched: int) -> None:
    catalogue = a_catalogue(n_videos)
    behaviours = {video.video_id: video.behaviour for video in catalogue.videos}
    with MiniYouTube(catalogue) as site:
        config = config_for(
            site,
            identities=("one", "two", "three"),
            limits=LimitsConfig(min_duration_s=5, other_categories="reject"),
            politeness=hurried(
                identity_requests_per_minute={kind: rate / 3 for kind, rate in RATES.items()},
                pauses_s=(0.3, 0.6),
                patience_s=120.0,
            ),
            reserve=0.0,
        )
        quotas = dict.fromkeys({video.category_id for video in catalogue.videos}, quota)
        road = Road.at(folder, config, executor).crawl(quotas)
        check_quotas(road, quotas, behaviours, catalogue)
        check_ends(road, behaviours)
        check_rates(site, road.polite.snapshot()["canaries"])
        fetched = [row for row in road.kept.values() if behaves_at_media(behaviours[row["video_id"]])]
        fetched += [row for row in road.kept.values() if behaviours[row["video_id"]] == "good"][:n_fetched]
        stage = FetchStage(Fetcher(config, road.polite), tuple(fetched))
        with RunLock(road.store) as lock:
            run_stage(stage, road.store, executor, lock)
        check_media(road, [row["video_id"] for row in fetched], behaviours)
        before = len(site.log)
        again = Road.at(folder, config, executor).crawl(quotas)
        with RunLock(again.store) as lock:
            run_stage(stage, again.store, executor, lock)
        assert len(site.log) == before  # a second run asks nothing at all


def behaves_at_media(behaviour: str) -> bool:
    return BEHAVIOURS[behaviour].expected.stage == "media" or behaviour.startswith("media_")


def check_quotas(road: Road, quotas: dict[int, float], behaviours: dict[str, str], catalogue: Any) -> None:
    """Within 2 % of what each category can give, up to its quota; and not far beyond."""
    states = {s.category_id: s for s in category_states(road.config, road.store, Wanted(quotas))}
    short = "waits" if any(row["next_try_at"] for row in road.rejects.values()) else "dry"
    for category_id, quota in quotas.items():
        own = [video for video in catalogue.videos if video.category_id == category_id]
        can = sum(comes_through_the_crawl(video.behaviour) for video in own)
        kept = sum(row["category_id"] == category_id for row in road.kept.values())
        assert min(kept, quota) >= 0.98 * min(quota, can), (category_id, kept, can)
        assert kept <= max(1.3 * quota, quota + 10), (category_id, kept, quota)
        assert states[category_id].state == ("full" if kept >= quota else short), states[category_id]


def comes_through_the_crawl(behaviour: str) -> bool:
    expected = BEHAVIOURS[behaviour].expected
    return expected.kept_in_the_end or expected.stage == "media" or expected.reason in LATER_STAGES


def check_ends(road: Road, behaviours: dict[str, str]) -> None:
    """Every video that was looked at is kept, or rejected with the reason that its behaviour must have."""
    rows = road.store.read_table("candidates").to_pylist()
    candidates = {row["video_id"]: row["wanted_category_id"] for row in rows}
    kept, rejects = road.kept, road.rejects
    assert candidates.keys() == kept.keys() | rejects.keys()
    assert not kept.keys() & rejects.keys()
    wrong = {}
    for video_id, wanted in candidates.items():
        if behaviours[video_id] == "wrong_category" and wanted == kept.get(video_id, {}).get("category_id"):
            continue  # its own channel brought it, for its own category
        expected = BEHAVIOURS[behaviours[video_id]].expected
        reason = None if comes_through_the_crawl(behaviours[video_id]) else expected.reason
        found = rejects[video_id]["reason"] if video_id in rejects else None
        if found != reason:
            wrong[video_id] = (behaviours[video_id], found, reason, rejects.get(video_id, {}).get("detail"))
    assert wrong == {}


def check_rates(site: MiniYouTube, canaries: list[str]) -> None:
    """Never above the configured rate: arrivals may bunch a little, tokens may not."""
    assert site.log.refused_hosts() == []
    per_second = RATES["page"] / 60
    assert site.log.peak_rate("watch", window_s=4.0) <= 4 * per_second + 4
    assert len(site.log.of("watch")) / watch_span_s(site) <= per_second
    often = {video_id for video_id, counts in site.log.per_video().items() if counts["watch"] > 3}
    assert often <= {*canaries}


def watch_span_s(site: MiniYouTube) -> float:
    times = [request.at_s for request in site.log.of("watch")]
    return max(times) - min(times)


def check_media(road: Road, fetched: list[str], behaviours: dict[str, str]) -> None:
    rejects = {i: row["reason"] for i, row in road.rejects.items() if row["stage"] == "media"}
    for video_id in fetched:
        expected = BEHAVIOURS[behaviours[video_id]].expected
        fails = (
            expected.stage == "media" and not expected.kept_in_the_end and expected.reason is not Reason.DECODE_ERRORS
        )
        assert rejects.get(video_id) == (expected.reason if fails else None), behaviours[video_id]


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    from ray.cluster_utils import Cluster

    from pipeline.engine.on_ray.cluster import RayExecutor

    head = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    executor = RayExecutor(tmp_path_factory.mktemp("scratch"), address=cluster.address)
    try:
        yield executor
    finally:
        executor.close()
        cluster.shutdown()


@pytest.mark.long  # that a bucket begins empty: tests/pipeline/site/test_buckets.py
def test_an_actor_that_dies_comes_back_with_its_bucket_empty(tmp_path: Path, two_nodes: Executor) -> None:
    import ray

    rates = {**RATES, "page": 60.0}  # one a second
    with MiniYouTube(a_catalogue(1), draw="lazily") as site:
        config = config_for(site, politeness=hurried(identity_requests_per_minute=rates))
    polite = two_nodes.share("alone", BuildPoliteness(config, Store(str(tmp_path / "out"))))
    time.sleep(2.5)
    assert polite.take("one", "youtube.com", "page") == 0.0
    ray.kill(polite._actor, no_restart=False)
    started = time.monotonic()
    assert polite.take("one", "youtube.com", "page") == 0.0
    assert time.monotonic() - started >= 0.9  # a bucket that came back full would not wait at all


@pytest.mark.long
def test_a_crawl_on_two_nodes_shares_one_bucket_and_one_catalogue(tmp_path: Path, two_nodes: Executor) -> None:
    crawl_and_check(2000, 120.0, tmp_path, two_nodes, n_fetched=20)
