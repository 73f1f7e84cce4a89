"""Sources: each of the configuration is in the registry."""

from typing import get_args

from pipeline.config.crawl import SourceName
from pipeline.crawl.sources.registry import SOURCES


def test_the_registry_holds_every_source_of_the_configuration() -> None:
    assert set(SOURCES) == set(get_args(SourceName))
