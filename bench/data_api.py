"""What a key of the Data API saves: a crawl of the mini-YouTube with one and without, counted at the site.

    python -m bench.data_api [--candidates 1000]

The world has HD-VILA-100M's yield: of 100 candidates 23.6 are kept. Why the others are rejected is published nowhere:
SHARES are assumed, and each is named. Both crawls must keep the same videos.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Secret, SecretStr

from manifests.categories import load_categories
from manifests.lock import RunLock
from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue, Video, cast
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CrawlConfig, IdentityConfig, LimitsConfig, PolitenessConfig
from pipeline.config.data_api import DataApiConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl.ledger import CrawlLedger
from pipeline.crawl.plan import Wanted
from pipeline.crawl.rounds import rounds, stages_of
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.outdir.tombstones import Tombstones
from pipeline.site.politeness import BuildPoliteness

SHARES = {
    "no_captions": 0.24,
    "only_480p": 0.20,
    "non_english": 0.10,
    "wrong_category": 0.08,
    "removed": 0.03,
    "private": 0.02,
    "age_gate": 0.02,
    "live_unmarked": 0.02,
    "members_unmarked": 0.02,
    "captions_no_text": 0.02,
    "geo": 0.014,
}
"""Of all candidates, by behaviours of the mini-YouTube; together 76.4 %."""
UNWANTED = 10
"""The category that is not crawled."""
NO_LIMIT = 6e6
KEY = "AIza" + "0" * 35


@dataclass(frozen=True, slots=True)
class Counted:
    """A crawl as the site saw it."""

    kept: frozenset[str]
    n_leases: int
    requests: Counter[str]
    """By kind."""


def main() -> None:
    """Runs both crawls and prints them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1000)
    catalogue = a_world(parser.parse_args().candidates)
    with tempfile.TemporaryDirectory() as folder:
        without, with_key = (crawled(catalogue, Path(folder) / name, name) for name in ("", KEY))
    assert without.kept == with_key.kept
    for line in lines(len(catalogue.videos), without, with_key):
        print(line)


def a_world(n_candidates: int) -> Catalogue:
    """Videos of all categories but one, with the shares of behaviours spread over them."""
    wanted = [category.id for category in load_categories() if category.id != UNWANTED]
    behaviours = [name for name, share in SHARES.items() for _ in range(round(share * n_candidates))]
    behaviours += ["good"] * (n_candidates - len(behaviours))
    videos: list[Video] = []
    for n, behaviour in enumerate(behaviours):
        category_id = UNWANTED if behaviour == "wrong_category" else wanted[n % len(wanted)]
        videos.append(cast(a_video(0, (category_id, n), 8), behaviour, another_category=category_id))
    return Catalogue(tuple(sorted(videos, key=lambda video: video.video_id)))


def crawled(catalogue: Catalogue, folder: Path, key: str) -> Counted:
    """A crawl of a list of all videos, with a key or without ("")."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ids.txt").write_text("\n".join(video.video_id for video in catalogue.videos))
    (folder / "key.txt").write_text(key)
    with MiniYouTube(catalogue, draw="lazily") as site:
        site.site.data_api.units = {KEY: 10_000}
        config = config_for(site, folder, bool(key))
        store = Store(str(folder / "out"))
        executor = LocalExecutor(folder / "scratch")
        polite = executor.share("politeness", BuildPoliteness(config, store))
        with RunLock(store) as lock:
            for stage in crawl_stages(config, store, polite):
                run_stage(stage, store, executor, lock)
        requests = Counter(request.kind for request in site.log)
        leases = sum(identity["videos"] for identity in polite.snapshot()["identities"])
    kept = store.read_table("videos", ["video_id"]).column("video_id").to_pylist()
    return Counted(frozenset(kept), leases, requests)


def crawl_stages(config: CrawlConfig, store: Store, polite: Any) -> Iterator[Any]:
    """The stages of all rounds, without those of texts."""
    ledger = CrawlLedger(store)
    wanted = Wanted(dict.fromkeys((category.id for category in load_categories()), 1e6))
    for plan in rounds(config, store, wanted, ledger):
        yield from stages_of(plan, config, polite, ledger, Tombstones())


def config_for(site: MiniYouTube, folder: Path, has_key: bool) -> CrawlConfig:
    """The crawl's settings, with rates that bind nothing."""
    one = IdentityConfig(name="one", proxy=SecretStr(site.proxy_url_of("one")), videos_per_hour=NO_LIMIT)
    kinds = ("list", "page", "player", "caption", "media", "other")
    return CrawlConfig(
        sources=("lists",),
        lists=ListsConfig(files=(str(folder / "ids.txt"),)),
        categories=tuple(category.id for category in load_categories() if category.id != UNWANTED),
        limits=LimitsConfig(min_duration_s=5),
        identities=(one,),
        politeness=PolitenessConfig(identity_requests_per_minute=dict.fromkeys(kinds, NO_LIMIT)),
        data_api=DataApiConfig(key_file=folder / "key.txt") if has_key else DataApiConfig(),
        ydl_opts=Secret({"nocheckcertificate": True, "cachedir": False}),
    )


def lines(n_candidates: int, without: Counted, with_key: Counted) -> Iterator[str]:
    """Both crawls, per kept video."""
    n_kept = len(without.kept)
    yield f"{n_candidates:,} candidates, {n_kept:,} kept ({n_kept / n_candidates:.1%})"
    yield f"{'per kept video':24}{'without':>10}{'with a key':>12}"
    rows: dict[str, tuple[int, ...]] = {"leases": (without.n_leases, with_key.n_leases)}
    rows |= {kind: (without.requests[kind], with_key.requests[kind]) for kind in ("watch", "player", "captions")}
    rows |= {
        "requests to the site": tuple(sum(c.requests.values()) - c.requests["data_api"] for c in (without, with_key))
    }
    rows |= {"leases with the fetch": (without.n_leases + n_kept, with_key.n_leases + n_kept)}
    for name, (before, after) in rows.items():
        yield f"{name:24}{before / n_kept:>10.2f}{after / n_kept:>12.2f}{after / before - 1:>8.0%}"
    yield f"requests to the API: {with_key.requests['data_api']}"
    decided = without.n_leases - with_key.n_leases
    yield f"decided by the API: {decided / n_candidates:.1%} of the candidates"


if __name__ == "__main__":
    main()
