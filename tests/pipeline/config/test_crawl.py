"""Identities from a file of proxies, and the sources by name."""

from pathlib import Path

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from pipeline.config.crawl import OUR_SOURCES, CrawlConfig
from pipeline.crawl.sources.registry import SOURCES


def test_each_line_of_a_proxy_file_is_an_identity_after_the_configured_ones(tmp_path: Path) -> None:
    path = tmp_path / "proxies.txt"
    path.write_text("# mine\nhttp://u:planted@10.0.0.1:8080\n\nsocks5h://10.0.0.2:1080\n")
    config = parse_config(CrawlConfig, {"proxy_file": str(path), "identities": [{"name": "home"}]}, source="test")
    assert [identity.name for identity in config.pool()] == ["home", "proxy-1", "proxy-2"]
    assert config.pool()[1].proxy.get_secret_value() == "http://u:planted@10.0.0.1:8080"
    assert "planted" not in repr(config) + config.model_dump_json()


def test_a_line_that_is_no_proxy_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "proxies.txt"
    path.write_text("http://10.0.0.1:8080\nplanted secret\n")
    with pytest.raises(ConfigError, match="line 2 is not a proxy URL") as error:
        parse_config(CrawlConfig, {"proxy_file": str(path)}, source="test")
    assert "planted" not in str(error.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        parse_config(CrawlConfig, {"proxy_file": str(tmp_path / "none.txt")}, source="test")


def test_the_registry_holds_every_source_of_the_configuration() -> None:
    assert SOURCES.keys() == OUR_SOURCES
