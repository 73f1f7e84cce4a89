"""Settings of balance that cannot be meant."""

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
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
