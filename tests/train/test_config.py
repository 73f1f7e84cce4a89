"""A run's YAML: unknown keys, impossible combinations, overrides, and the promise of each key's kind."""

from __future__ import annotations

import pytest

from manifests.errors import ConfigError
from manifests.settings import describe_keys, identity_values, load_config, parse_config
from train.config import TrainConfig

MINIMAL = {"data": {"manifest": "out/manifest.json"}, "loop": {"steps": 3}}


def parsed(**sections):
    tree = {name: dict(keys) for name, keys in MINIMAL.items()}
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys} if isinstance(keys, dict) else keys
    return parse_config(TrainConfig, tree, source="test")


def test_an_unknown_key_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"optim\.wamup: no such key; did you mean optim\.warmup\?"):
        parsed(optim={"wamup": 0.1})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"loop": {"steps": 0}}, "give either loop.steps or loop.epochs"),
        ({"loop": {"epochs": 1.0}}, "the other is 0 .--set loop.epochs=0"),
        ({"objective": {"contrastive": 0}}, "nothing would be learned"),
        ({"objective": {"mlm": 1.0}}, "need model.stage: 2"),
        ({"model": {"stage": 2, "itm": True}}, "go together"),
        ({"model": {"stage": 2, "freeze_stage1": True}}, "set objective.mlm"),
        ({"loop": {"batch": 1}}, "at least 2"),
    ],
)
def test_an_impossible_combination_is_refused_with_the_key_to_change(sections, message):
    with pytest.raises(ConfigError, match=message):
        parsed(**sections)


def test_set_overrides_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("data: {manifest: there}\nloop: {steps: 9}\n")

    config = load_config(
        TrainConfig, tmp_path / "c.yaml", ["loop.batch=12", "model.preset=tiny", "data.weights={Music: 2}"]
    )

    assert config.loop.batch == 12 and config.model.width == 128 and config.data.weights == {"Music": 2.0}


def test_every_key_has_a_meaning_and_a_kind():
    rows = describe_keys(TrainConfig)

    assert len(rows) > 80
    assert not [r["key"] for r in rows if not r["doc"] or r["kind"] not in ("identity", "operational")]


def test_what_may_change_between_two_starts_of_a_run_is_a_promise():
    """Growing or shrinking this list is a decision: these keys may change when a run is resumed."""
    operational = {r["key"] for r in describe_keys(TrainConfig) if r["kind"] == "operational"}

    assert operational == {
        "out",
        "data.max_bad_shards",
        "data.workers",
        "data.storage_options",
        "model.gradient_checkpointing",
        "model.muted",
        "loop.micro_batch",
        "loop.strategy",
        "loop.device",
        "loop.compile",
        "loop.threads",
        "loop.shard",
        "loop.tf32",
        "loop.channels_last",
        "checkpoint.every",
        "checkpoint.keep",
        "eval.every",
        "eval.max_clips",
        "eval.batch",
        "eval.captions",
        "eval.captions_split",
        "eval.questions",
        "eval.videos",
        "loop.nonfinite",
        "observe.every",
        "observe.tensorboard",
        "observe.profile.at",
        "observe.profile.steps",
    }
    assert "loop.batch" in identity_values(parsed())
