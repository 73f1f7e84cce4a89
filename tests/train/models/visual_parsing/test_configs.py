"""Settings of visual parsing that cannot be meant."""

from typing import Any

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from train.models.visual_parsing import (
    VisualParsingConfig,
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"parser": "swin_t", "parser_width": 100}, "not a multiple of 3 heads"),
        ({"parser": "swin_x"}, "swin_t"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(VisualParsingConfig, changes, source="model")


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"preset": "tiny"}, (4, 6)),
        ({"preset": "tiny", "image_size": (64, 96)}, (2, 3)),
        ({}, (7, 7)),
        ({"image_size": (384, 384)}, (7, 7)),
    ],
    ids=str,
)
def test_our_own_parser_attends_over_its_whole_last_map_and_torchvisions_over_7x7(
    changes: dict[str, Any], window: tuple[int, int]
) -> None:
    assert parse_config(VisualParsingConfig, changes, source="model").parser_window == window
