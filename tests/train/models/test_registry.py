"""A model, an objective and a view that the trainer has never heard of: registered by a line each, trained by `fit`.

Here stands all that a newcomer has to write; the loop, checkpoints, distribution and the loader are as they are.
"""

import sys
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hdvila_testing.drawn_set import a_tree
from manifests.errors import ConfigError
from manifests.settings import Section, describe_keys, identity, parse_config
from train import objectives
from train.config import TrainConfig
from train.data import registry as views
from train.data.decode import read_still, read_stills
from train.data.registry import Seen
from train.distributed import process_from_environment
from train.loop.checkpoint import checkpoints
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics
from train.models import registry
from train.models.base import Model, ModelSection
from train.models.registry import ModelKind
from train.objectives import Objective


class ToySection(ModelSection):
    kind: Literal["toy"] = identity("toy", doc="which of the models")
    preset: Literal["toy"] = identity("toy", doc="there is but one")
    vocab_size: int = identity(128, doc="pieces")
    text_length: int = identity(12, doc="tokens")
    model_weights: str = identity("", doc="none")
    width: int = identity(8, doc="of everything")


class Colours(NamedTuple):
    colour: Tensor
    guess: Tensor


class Toy(Model):
    def __init__(self, config: ToySection) -> None:
        super().__init__()
        self.config = config
        self.weight_sources = {"all": "random"}
        self.words = nn.EmbeddingBag(config.vocab_size, config.width)
        self.colours = nn.Linear(config.width, 3)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Any, only: Any = ()) -> Colours:
        return Colours(batch.mean_colour.float() / 255, self.colours(self.words(batch.input_ids)))

    def after_step(self) -> None:
        self.n_steps += 1

    def readings(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps}


class ColourSettings(Section):
    colour: float = identity(0.0, ge=0, doc="weight of telling the mean colour")


def colour_loss(outputs: Any, batch: Any, n_rows: int, config: Any) -> Tensor:
    return (outputs.guess - outputs.colour).square().mean(1).sum() / n_rows


class MeanColour:
    n_pictures = 1

    def members(self, source: str) -> tuple[str, ...]:
        return ("txt", "json", "mjpg")

    def blank(self) -> dict[str, Any]:
        return {"mean_colour": np.zeros(3, np.float32)}

    def decode(self, members: Any, source: str, draw: Any) -> Seen:
        from train.data.decode import read_facts

        still = read_stills(read_facts(members["json"]))[0]
        colour = np.asarray(read_still(members["mjpg"], still)).mean((0, 1)).astype(np.float32)
        return Seen({"mean_colour": colour}, members["txt"].decode())


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("toys")
    module.__dict__["KIND"] = ModelKind(
        section=ToySection,
        build=lambda config, seed: (torch.manual_seed(seed), Toy(config).train())[1],
        view="mean_colour",
        objectives=("colour",),
    )
    module.__dict__["make_view"] = lambda name, config: MeanColour()
    monkeypatch.setitem(sys.modules, "toys", module)
    monkeypatch.setitem(registry.MODELS, "toy", "toys")
    monkeypatch.setitem(views.VIEWS, "mean_colour", "toys")
    ours = Objective("colour", ColourSettings, colour_loss, totals=len)
    monkeypatch.setattr(objectives, "OBJECTIVES", [*objectives.OBJECTIVES, ours])


def tree_of(manifest: Any, out: Any, **sections: Any) -> dict[str, Any]:
    own = {"objective": {"contrastive": 0.0, "colour": 1.0}, "optim": {"lr": 0.05}}
    tree = a_tree(manifest, out, **{**own, **sections})
    return {**tree, "model": {"kind": "toy"}}


def test_a_newcomer_trains_stops_and_goes_on_exactly(toys: None, drawn: Any, tmp_path: Any) -> None:
    process = process_from_environment("cpu")

    def run(out: str, **loop: Any) -> dict[int, float]:
        config = parse_config(TrainConfig, tree_of(drawn, tmp_path / out, loop=loop), source="test")
        fit(config, process, StopRequest())
        steps = [r for r in read_metrics(tmp_path / out) if r["kind"] == "step"]
        assert [r["n_steps"] for r in steps] == [r["step"] for r in steps]
        return {r["step"]: r["loss"] for r in steps}

    whole = run("whole", steps=30)
    assert whole[30] < 0.5 * whole[1]
    assert run("cached", steps=30, micro_batch=2) == pytest.approx(whole, abs=1e-6)
    config = parse_config(TrainConfig, tree_of(drawn, tmp_path / "cut", loop={"steps": 30}), source="test")

    class At(StopRequest):
        def is_due(self) -> bool:
            return len(read_metrics(tmp_path / "cut")) >= 7

    assert fit(config, process, At()).step == 7
    assert run("cut", steps=30) == whole
    last = [checkpoints(tmp_path / out)[-1] for out in ("cut", "whole")]
    names = {p.name for p in last[0].glob("*.distcp")}
    assert names
    assert all((last[0] / n).read_bytes() == (last[1] / n).read_bytes() for n in names)


def test_the_yaml_knows_a_newcomers_keys_and_names_the_nearest(toys: None) -> None:
    with pytest.raises(ConfigError, match=r"model\.widht: no such key; did you mean model\.width\?"):
        parse_config(TrainConfig, {**tree_of("m", "o"), "model": {"kind": "toy", "widht": 3}}, source="test")
    with pytest.raises(ConfigError, match="kind 'toi' is not a model; did you mean toy"):
        parse_config(TrainConfig, {**tree_of("m", "o"), "model": {"kind": "toi"}}, source="test")
    rows = describe_keys(TrainConfig)
    assert {
        "key": "objective.colour",
        "default": "0.0",
        "kind": "identity",
        "doc": ColourSettings.model_fields["colour"].description,
    } in rows
    (width,) = (r["doc"] for r in rows if r["key"] == "model.width")
    assert "(toy) of everything" in width.split("; ")


def test_a_model_is_not_asked_for_what_it_cannot_give(toys: None) -> None:
    with pytest.raises(ConfigError, match=r"objective\.contrastive: model\.kind toy has colour"):
        parse_config(TrainConfig, tree_of("m", "o", objective={"contrastive": 1.0, "colour": 1.0}), source="test")
