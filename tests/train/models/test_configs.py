"""A configuration says what fits together, and what doesn't is refused with the reason."""

from typing import Any

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from train.models.configs import PRESETS, ModelConfig


def test_a_preset_is_the_start_and_any_number_can_be_changed() -> None:
    tiny = ModelConfig(preset="tiny")
    wider = ModelConfig(preset="tiny", width=192)
    assert (tiny.width, wider.width) == (128, 192)
    assert wider.model_copy(update={"width": 128}) == tiny


def test_the_official_model_is_the_default() -> None:
    config = ModelConfig()
    assert (config.high, config.low, config.width, config.n_text_layers) == ((640, 1024), (160, 256), 1024, 12)
    assert config.grid == (10, 16)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_in_both_stages(preset: Any) -> None:
    for stage in (1, 2):
        ModelConfig(preset=preset, stage=stage)


def test_a_written_configuration_comes_back_equal() -> None:
    config = ModelConfig(preset="tiny", n_heads=8, stage=2)
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high": (600, 1024)}, "multiples of 64"),
        ({"width": 100}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"freeze_stage1": True}, "freeze_stage1 needs stage 2"),
        ({"itm": True}, "itm needs stage 2"),
        ({"n_frames": 4}, "odd"),
        ({"widht": 5}, "did you mean width"),
        ({"preset": "huge"}, "hd_vila_base"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(ModelConfig, changes, source="model")
