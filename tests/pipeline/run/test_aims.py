"""What a crawl aims at: the balance's quotas of what is crawled, and more where fetched videos were lost."""

from pathlib import Path

import pytest
from rich.console import Console

from manifests.settings import parse_config
from miniyoutube.big_catalogue import a_video
from miniyoutube.catalogue import Catalogue
from miniyoutube.demo import demo_config, pointed_at
from miniyoutube.server import MiniYouTube
from pipeline.balance.quotas import balance_of
from pipeline.balance.ranking import rank_candidates
from pipeline.balance.result import BalanceResult
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config import RunConfig
from pipeline.config.balance import BalanceConfig
from pipeline.report.page import REPORT_NAME
from pipeline.report.summary import balance_table
from pipeline.run.aims import aim, aim_again
from pipeline.run.road import run_pipeline
from tests.pipeline.balance.worlds import FILM, MUSIC, SPORTS, candidates, made

CRAWLED = (FILM, MUSIC, SPORTS)


def test_what_is_crawled_shares_the_whole_total_by_its_own_weights() -> None:
    def shares(policy: str, **crawl: object) -> dict[int, float]:
        tree = {"out": "out", "balance": {"policy": policy, "unit": "clips", "total": 60}, "crawl": crawl}
        quotas = aim(balance_of(parse_config(RunConfig, tree, source="test")), {}).quotas
        return {category: quota for category, quota in quotas.items() if quota}

    search = {"sources": ["search"], "categories": list(CRAWLED)}
    assert shares("equal", **search) == {FILM: 20, MUSIC: 20, SPORTS: 20}
    assert shares("hd-vila", **search).keys() == {*CRAWLED}
    assert sum(shares("hd-vila", **search).values()) == 60
    assert len(shares("equal", sources=["search"])) == 15
    assert len(shares("equal", **search | {"sources": ["search", "folder"]})) == 15, "a folder holds any category"


def a_result(given: dict[str, tuple[int, str]], exist: dict[str, int], total: int) -> BalanceResult:
    """`given`: by video, its planned clips; `exist`: clips that were made of those fetched."""
    rows = [(video, MUSIC, channel, n, n * 1000) for video, (n, channel) in given.items()]
    clips = made({video: [1000] * n for video, n in exist.items()})
    return select(
        rank_candidates(candidates(rows), 0), Outcomes(clips), BalanceConfig(unit="clips", total=total)
    ).result


def test_only_what_was_tried_counts_as_lost() -> None:
    config = BalanceConfig(policy="weights", weights={"Music": 1}, unit="clips", total=10)
    given = {f"v{i}": (5, "") for i in range(4)}

    none_lost = a_result(given, {"v0": 5, "v1": 5}, 150)
    half_lost = a_result(given, {"v0": 3, "v1": 2}, 150)

    assert aim_again(config, none_lost, []).quotas[MUSIC] == 10
    assert aim_again(config, half_lost, []).quotas[MUSIC] == 20


@pytest.mark.slow
def test_a_crawl_of_two_categories_gets_all_that_was_asked_for(tmp_path: Path) -> None:
    catalogue = Catalogue(tuple(a_video(0, (category, n), 8) for category in (FILM, MUSIC) for n in range(5)))
    changes = (
        f"crawl.categories={[FILM, MUSIC]}",
        "crawl.limits.min_duration_s=5",
        "text.transcript.min_words=3",
        "balance.total=6",
        "engine.executor=local",
    )
    with MiniYouTube(catalogue) as site:
        delivered = run_pipeline(pointed_at(site, demo_config(tmp_path, None, list(changes))))

    assert delivered.exit_code == 0
    assert {c.category_id: c.kept for c in delivered.balance.categories if c.asked} == {FILM: 3, MUSIC: 3}
    console = Console(width=200, record=True)
    console.print(balance_table(delivered.balance))
    for said in (console.export_text(), (tmp_path / REPORT_NAME).read_text()):
        assert "nothing found" not in said and "not full yet" not in said
