"""Settings of balance that cannot be meant."""

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.config.balance import BalanceConfig


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"policy": "weights"}, "needs a weight above 0"),
        ({"weights": {"Music": 1}}, "policy: weights"),
        ({"policy": "weights", "weights": {"Musik": 1}}, "did you mean 'Music'"),
        ({"policy": "weights", "weights": {"Music": -1}}, "0 or more"),
        ({"max_channel_shares": 0.5}, "did you mean max_channel_share"),
    ],
)
def test_a_bad_setting_is_explained(settings_: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(BalanceConfig, settings_, source="test")


def test_a_weight_of_a_category_that_is_not_crawled_is_refused_once() -> None:
    tree = {
        "out": "out",
        "crawl": {"sources": ["search"], "categories": [10, 17]},
        "balance": {
            "policy": "weights",
            "weights": {"Music": 2, "Sports": 1, "Film & Animation": 1, "Pets & Animals": 0},
        },
    }
    with pytest.raises(ConfigError, match=r"Film & Animation is not crawled.*add 1 to crawl\.categories") as refused:
        parse_config(RunConfig, tree, source="test")
    assert "Pets" not in str(refused.value) and str(refused.value).count("crawled") == 1
    parse_config(RunConfig, {**tree, "crawl": {"sources": ["folder"], "categories": [10, 17]}}, source="test")
