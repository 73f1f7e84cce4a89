"""What a killed worker had looked at is not asked for again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import Secret

from miniyoutube.server import MiniYouTube
from pipeline.crawl.progress import FOLDER, forget_committed
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for

EDUCATION = 27


class Killed(BaseException):
    """What a kill is to the code that it meets."""


class DyingAfter:
    """A politeness whose caller is killed at its n-th watch page."""

    def __init__(self, polite: Any, n: int) -> None:
        self._polite, self._left = polite, n

    def take(self, identity: str, host: str, kind: str) -> float:
        self._left -= kind == "page"
        if self._left < 0:
            raise Killed
        return float(self._polite.take(identity, host, kind))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._polite, name)


def test_a_kill_costs_the_video_in_flight_and_not_its_batch(tmp_path: Path) -> None:
    names = ("kids", "portrait", "dubbed", "private", "also_1080p", "odd_height")
    with MiniYouTube(one_of_each(names), draw="lazily") as site:
        config = config_for(site, extractor_args=Secret({"youtube": {"player_client": ["tv"]}}))
        road = Road.at(tmp_path / "killed", config)
        road.polite = DyingAfter(road.polite, 4)
        with pytest.raises(Killed):
            road.crawl({EDUCATION: 100.0})
        assert not road.kept  # the one unit of the round has no commit
        n_asked = Counter(request.video_id for request in site.log.of("watch"))
        again = Road.at(tmp_path / "killed", config).crawl({EDUCATION: 100.0})
        counts = Counter(request.video_id for request in site.log.of("watch"))
        assert sum(n_asked.values()) == 4
        assert max(counts.values()) == 1  # four were looked at before, and none of them is asked for again
        whole = Road.at(tmp_path / "whole", config).crawl({EDUCATION: 100.0})
    columns = ["video_id", "title", "category_id", "caption_tracks", "round"]
    assert again.store.read_table("videos", columns).equals(whole.store.read_table("videos", columns))
    assert again.store.read_table("captions").equals(whole.store.read_table("captions"))
    assert {i: row["reason"] for i, row in again.rejects.items()} == {i: r["reason"] for i, r in whole.rejects.items()}
    forget_committed(again.store)
    assert again.store.names(FOLDER) == []
