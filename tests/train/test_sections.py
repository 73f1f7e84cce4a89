"""The sections of a run's YAML that no model shapes are read, and refused, before torch is loaded."""

import sys

import pytest

from manifests.errors import UserError
from train.commands.config import load_train_config
from train.config import TrainConfig
from train.sections import Sections

KEYS = ["data.manifest=there", "loop.steps=1"]


@pytest.mark.parametrize(
    ("key", "message"),
    [("loop.stps=3", "did you mean loop.steps?"), ("optim.lr=0", "optim.lr"), ("lop.steps=3", "lop")],
)
def test_a_wrong_key_is_told_before_models_are_known(monkeypatch: pytest.MonkeyPatch, key: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, "train.config", None)  # whoever imports it fails

    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        load_train_config(None, [*KEYS, key])


def test_the_rest_is_the_whole_configurations() -> None:
    assert load_train_config(None, KEYS).model.preset
    assert list(TrainConfig.model_fields) == list(Sections.model_fields)
    with pytest.raises(UserError, match=r"did you mean model\.preset"):
        load_train_config(None, [*KEYS, "model.prest=tiny"])
