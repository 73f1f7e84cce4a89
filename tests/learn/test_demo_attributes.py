"""What configs/train_demo.yaml says that the demo's sentences name is what its pictures show."""

from __future__ import annotations

from manifests.settings import load_config
from pipeline.demo.demo_catalogue import demo_catalogue
from pipeline.demo.script import COUNTS, DIGITS, Scene, as_written, shots_of
from tests.conftest import REPO
from train.attributes import values_of
from train.config import TrainConfig


def shown(scene: Scene) -> dict[str, str]:
    return {
        "background": scene.background,
        "texture": scene.texture,
        "colour": scene.colour,
        "shape": scene.shape,
        "count": COUNTS[scene.count - 1],
        "way": scene.motion,
        "number": DIGITS[scene.digit],
    }


def test_every_attribute_is_read_out_of_every_sentence_of_the_demo():
    patterns = load_config(TrainConfig, REPO / "configs" / "train_demo.yaml").eval.attributes
    scripts = [video.script for video in demo_catalogue().videos if video.script.language == "en"]
    described = [shot for script in scripts for shot in shots_of(script) if " number " in as_written(shot.words)]
    assert len(described) > 100

    captions = [as_written(shot.words) for shot in described]
    for name, pattern in patterns.items():
        assert values_of(captions, pattern) == [shown(shot.scene)[name] for shot in described], name
