"""The configurations that ship load as they stand, and every one that the containers name is there."""

import re
from pathlib import Path

import pytest
import yaml

from manifests.settings import load_config
from pipeline.config import RunConfig

REPO = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("path", sorted(REPO.glob("configs/run*.yaml")), ids=lambda path: path.name)
def test_a_runs_configuration_loads_as_it_stands(path: Path) -> None:
    config = load_config(RunConfig, path, ["engine.ray_address=auto"])

    assert config.shards.card.contact == ""


def test_every_configuration_that_compose_runs_is_mounted_and_there() -> None:
    services = yaml.safe_load((REPO / "docker" / "compose.yaml").read_text())["services"]
    commands = [str(service["command"]) for service in services.values()]
    named = {name for command in commands for name in re.findall(r"/config/([\w.-]+)", command)}

    assert named >= {"run.yaml", "train_hd_vila.yaml"}
    assert not [name for name in named if not (REPO / "configs" / name).is_file()]
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    assert "../configs:/config:ro" in mounts
