"""Published lists through the real yt-dlp: their videos are asked of the site, and given texts are the clips' texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from miniyoutube.server import MiniYouTube
from pipeline.config.crawl import CaptionsConfig, LimitsConfig
from pipeline.config.sources import ListsConfig
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.crawl.site import Road, config_for
from tests.pipeline.crawl.sources.published import FORMS, publish
from tests.pipeline.site.api import with_key

PLENTY = dict.fromkeys(range(-1, 30), 1000.0)
BEHAVIOURS = ("good", "no_captions", "private")


def ids_of(site: MiniYouTube) -> list[str]:
    """A video with captions, one without, and one that is not shown."""
    found = {video.behaviour: video.video_id for video in site.catalogue.videos}
    return [found[behaviour] for behaviour in BEHAVIOURS]


def crawled(site: MiniYouTube, folder: Path, file: Path, **lists: Any) -> Road:
    config = config_for(
        site,
        sources=("lists",),
        lists=ListsConfig(files=(str(file),), **lists),
        limits=LimitsConfig(min_duration_s=5),
    )
    return Road.at(folder / "out", config).crawl(PLENTY)


@pytest.mark.parametrize("form", FORMS)
def test_the_videos_of_a_published_list_are_asked_of_the_site(form: str, tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(BEHAVIOURS), draw="lazily") as site:
        good, silent, private = ids_of(site)
        road = crawled(site, tmp_path, publish(form, [good, silent, private], tmp_path))
        captions = len(site.log.of("captions"))
    has_texts = form in ("panda-70m", "internvid")

    assert set(road.kept) == ({good, silent} if has_texts else {good})
    gone = {video_id: row["reason"] for video_id, row in road.rejects.items()}
    assert gone == {private: Reason.PRIVATE} | ({} if has_texts else {silent: Reason.NO_CAPTIONS})
    assert (captions == 0) is has_texts, "captions that are given are not fetched"
    has_clips = form not in ("howto100m", "yt-temporal")
    spans = json.loads(road.kept[good]["given_spans"] or "[]")
    assert [span["start_ms"] for span in spans] == ([1043, 6100] if has_clips else [])
    given = {row["video_id"]: row["format"] for row in road.store.read_table("transcripts").to_pylist()}
    assert given == (dict.fromkeys((good, silent), "given") if has_texts else {})


def test_with_given_texts_the_api_decides_nothing_by_captions(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(BEHAVIOURS), draw="lazily") as site:
        _, silent, _ = ids_of(site)
        lists = ListsConfig(files=(str(publish("internvid", [silent], tmp_path)),))
        settings = {"sources": ("lists",), "lists": lists, "captions": CaptionsConfig(kinds=("manual",))}
        config = with_key(site, tmp_path, **settings)
        road = Road.at(tmp_path / "out", config).crawl(PLENTY)
    assert set(road.kept) == {silent}


def test_clips_that_end_before_they_begin_cost_no_request(tmp_path: Path) -> None:
    with MiniYouTube(one_of_each(BEHAVIOURS), draw="lazily") as site:
        good = site.catalogue.videos[0].video_id
        file = tmp_path / "clips.csv"
        file.write_text(f"id,start,end\n{good},9,3\n")
        road = crawled(site, tmp_path, file)
        assert not site.log.of("watch", "player")
    assert {video_id: row["reason"] for video_id, row in road.rejects.items()} == {good: Reason.SPAN_OUTSIDE}
