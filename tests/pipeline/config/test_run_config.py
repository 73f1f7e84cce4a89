"""Settings of a run that concern several areas at once."""

from typing import Any

import pytest

from manifests.errors import ConfigError
from manifests.settings import parse_config
from pipeline.config import RunConfig


def resources(given: dict[str, Any]) -> Any:
    tree = {"out": "out", "engine": {"resources": given}}
    return parse_config(RunConfig, tree, source="run.yaml").engine.resources


def test_resources_are_given_by_stage() -> None:
    asked = resources({"media": {"n_gpus": 0.25, "custom": {"decoder": 1}}, "clips": {"memory_bytes": 10**9}})

    assert asked["media"].model_dump(exclude_unset=True) == {"n_gpus": 0.25, "custom": {"decoder": 1}}
    assert asked["clips"].model_dump(exclude_unset=True) == {"memory_bytes": 10**9}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"medai": {}}, "medai is no stage that workers run; did you mean media?"),
        ({"cut": {}}, "did you mean media?"),  # a part of its work
        ({"balance": {}}, "balance is no stage that workers run; there are folder, "),
        ({"media": {"n_gpu": 1}}, "did you mean engine.resources.media.n_gpus?"),
        ({"media": {"n_gpus": 1.5}}, "neither a whole number nor a fraction"),
        ({"media": {"custom": {"GPU": 1}}}, "set n_cpus, n_gpus or memory_bytes"),
        ({"media": {"custom": {"decoder": 0}}}, "engine.resources.media.custom.decoder"),
    ],
)
def test_resources_of_no_stage_and_ones_that_ray_would_refuse_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resources(given)
    assert said in str(refused.value)
