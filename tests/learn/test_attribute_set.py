"""The drawn set with known ceilings: what it holds, and that a view shows no more than it should.

That hybrid learns it is a long test too: test_hybrid_learns.py.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.learning.attribute_set import make_attribute_set
from bench.learning.attributes import HATCHINGS, WAYS, all_scenes, value_of
from bench.learning.hybrid_vs_low import CONFIG
from bench.learning.read_hatching import probe
from manifests.settings import load_config
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.data.index import load_index, read_captions
from train.data.views import MEMBERS

N_COLOURS, PER_CAPTION = 1, 2


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attributes")
    make_attribute_set(out, per_caption=PER_CAPTION, n_colours=N_COLOURS)
    return out / "manifest.json"


@pytest.mark.long
def test_val_holds_each_caption_once_and_train_as_often_as_asked(manifest):
    opened = read_manifest(str(manifest))
    train, val = (Counter(read_captions(opened, split, {})) for split in ("train", "val"))

    captions = [scene.caption for scene in all_scenes(N_COLOURS)]
    assert val == Counter(captions) and len(val) == N_COLOURS * len(HATCHINGS) * len(WAYS)
    assert train == Counter(captions * PER_CAPTION)
    assert load_index(opened, "train").has(*MEMBERS["prepared"])


def test_a_caption_names_the_values_of_its_scene():
    for scene in all_scenes():
        for attribute in ("colour", "hatching", "way"):
            assert value_of(scene.caption, attribute) == getattr(scene, attribute)


@pytest.mark.long
def test_the_hatching_is_read_off_the_high_view_and_off_the_low_one_by_chance_alone(manifest):
    found, n_clips = probe(manifest, load_config(TrainConfig, CONFIG))

    assert n_clips == N_COLOURS * len(HATCHINGS) * len(WAYS) * (PER_CAPTION + 1)
    chance = 1 / len(HATCHINGS)
    noise = (chance * (1 - chance) / n_clips) ** 0.5
    assert found["high: linear probe of the spectrum"] > 0.95
    for name in ("linear probe of pixels", "linear probe of the spectrum"):
        assert found[f"low: {name}"] < chance + 3 * noise
