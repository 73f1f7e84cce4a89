"""SOHO's settings."""

from typing import Any

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from train.models.soho import SohoConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"widht": 5}, "did you mean width"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(SohoConfig, changes, source="model")


def test_compat_has_the_published_codes_numbers_and_comes_back_as_written() -> None:
    compat = SohoConfig(compat=True)
    assert (compat.mvm_scale, compat.dictionary_decay, compat.dictionary_floor) == (1.0, 0.4, 0.0)
    assert SohoConfig.model_validate(compat.model_dump(mode="json")) == compat
