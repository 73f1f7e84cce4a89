"""The key of the Data API comes from a file, and is shown nowhere."""

import os
import pickle
from pathlib import Path

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from pipeline.config.crawl import CrawlConfig
from pipeline.site.redact import redact, secrets_of
from tests.pipeline.site.api import KEY


def crawl_config(file: Path) -> CrawlConfig:
    return parse_config(CrawlConfig, {"data_api": {"key_file": str(file)}}, source="test")


def test_the_key_travels_with_the_settings_and_is_not_in_their_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"  {KEY}\n")
    config = crawl_config(tmp_path / "key")
    (tmp_path / "key").unlink()  # another machine has no such file
    assert pickle.loads(pickle.dumps(config)).data_api.key == KEY
    assert config.model_copy(update={"canary": "a" * 11}).data_api.key == KEY
    assert KEY not in repr(config) + str(config) + config.model_dump_json()
    assert KEY not in redact(f"failed: header {KEY} sent", secrets_of(config))
    assert CrawlConfig().data_api.key == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read"), ("\n", "is empty"), (f"{KEY}\n{KEY}", "holds no key"), ("a secret!", "holds no key")],
)
def test_a_file_without_a_key_is_one_message(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        crawl_config(tmp_path / "key")
    assert KEY not in str(error.value) and "secret" not in str(error.value)
    assert str(error.value).count(str(tmp_path)) == 1


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_file_that_this_user_may_not_read_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        crawl_config(tmp_path / "key")


def test_a_key_is_hidden_wherever_it_stands() -> None:
    shown = redact(f"GET https://www.googleapis.com/youtube/v3/videos?key={KEY} X-Goog-Api-Key: {KEY} and {KEY}.")
    assert KEY not in shown
