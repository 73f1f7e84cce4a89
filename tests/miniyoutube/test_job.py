"""The demo's settings: an ordinary run, pointed at the embedded site and nowhere else."""

from pathlib import Path

from miniyoutube.big_catalogue import a_catalogue
from miniyoutube.demo_catalogue import demo_catalogue
from miniyoutube.job import demo_config, pointed_at, some_of
from miniyoutube.server import MiniYouTube


def test_a_part_of_a_catalogue_is_spread_over_it() -> None:
    whole = a_catalogue(12, misbehaving=0)
    part = some_of(whole, 4)
    quarter = len(whole.videos) / 4
    assert part.videos == tuple(whole.videos[int(i * quarter)] for i in range(4))
    assert some_of(whole, 0) is some_of(whole, 99) is whole


def test_every_identity_asks_the_embedded_site_and_keeps_its_other_settings(tmp_path: Path) -> None:
    config = demo_config(tmp_path / "out", None, ["seed=7"])
    with MiniYouTube(a_catalogue(2, misbehaving=0)) as site:
        pointed = pointed_at(site, config)
        pool = pointed.crawl.pool()
        assert {one.proxy.get_secret_value() for one in pool if one.proxy} == {site.proxy_url}
    assert pool and all(one.proxy for one in pool) and pointed.seed == 7
    assert pointed.crawl.ydl_opts.get_secret_value()["nocheckcertificate"] is True


def test_the_first_batch_of_media_fills_a_shard_so_that_the_manifest_comes_early(tmp_path: Path) -> None:
    config = demo_config(tmp_path / "out", None, [])
    n_good = sum(video.behaviour == "good" for video in demo_catalogue().videos)
    n_clips = config.balance.batch_videos * config.balance.total / n_good

    assert n_clips * (1 - config.shards.split.val) > 2 * config.shards.max_samples, (
        "some clips are rejected, and of a few videos the draw may hold half out"
    )
