"""Sources: each of the configuration is in the registry."""

from pipeline.config.crawl import OUR_SOURCES
from pipeline.crawl.sources.registry import SOURCES


def test_the_registry_holds_every_source_of_the_configuration() -> None:
    assert SOURCES.keys() == OUR_SOURCES
