"""What lies at an address of a list: which is asked for, and how it is known again."""

import pytest

from pipeline.config.sources import UrlsConfig
from pipeline.crawl.sources.addresses import refuse_address
from pipeline.engine.work.unit import Rejected


def test_only_named_buckets_are_read() -> None:
    config = UrlsConfig(buckets=("s3://mine",))
    refuse_address("s3://mine/film.mp4", config)
    others = ("s3://mine-too/film.mp4", "s3://other/film.mp4", "gs://mine/film.mp4", "memory://mine/x", "/etc/passwd")
    for url in others:
        with pytest.raises(Rejected, match="bad_address"):
            refuse_address(url, config)
