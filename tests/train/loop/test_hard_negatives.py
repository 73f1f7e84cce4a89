"""Matching against texts that the model itself finds similar: still of other videos and with other words."""

from __future__ import annotations

import pytest
import torch

from manifests.settings import load_config
from tests.train.matrix import Case, config_of, plain_rows
from tests.train.model_cases import TOKENS, small_model
from train.config import TrainConfig
from train.loop import hard_negatives
from train.loop.hard_negatives import harder, wanted
from train.objectives import Draw, prepare
from train.rows import Rows

CONFIG = config_of(Case("none", 2, False, (("contrastive", 1.0), ("itm", 1.0))))


def parted(step: int, **groups: list[int]) -> Rows:
    rows = plain_rows(CONFIG).having({name: torch.tensor(ids) for name, ids in groups.items()})
    return prepare(rows, Draw(0, step, TOKENS), CONFIG.objective)


def read_from(rows: Rows) -> list[int]:
    """The row whose text each row reads in the multimodal half."""
    return [int((rows.input_ids == ids).all(1).nonzero()[0]) for ids in rows.pair_ids]


@pytest.mark.parametrize("micro_batch", [0, 2])
def test_a_parted_row_reads_the_text_that_is_most_like_what_it_shows(
    micro_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"loop": CONFIG.loop.model_copy(update={"micro_batch": micro_batch})})
    model, rows = small_model(stage=2, itm=True), parted(0)
    features = model.eval()(rows)
    similarity = hard_negatives._similarities(model, rows, config)
    assert torch.allclose(similarity.double(), features.logit_scale * features.video @ features.text.T, atol=1e-4)
    monkeypatch.setattr(hard_negatives, "_similarities", lambda *_: 1e9 * similarity)  # none but the nearest is drawn
    same = (rows.video_ids[:, None] == rows.video_ids) | (rows.caption_ids[:, None] == rows.caption_ids)
    nearest = similarity.masked_fill(same, -9).argmax(1).tolist()

    found = read_from(harder(model.train(), rows, config, Draw(0, 0, TOKENS)))

    assert {0, 1} == set(rows.itm_labels.tolist()) and model.training
    for row, (label, at) in enumerate(zip(rows.itm_labels.tolist(), found, strict=True)):
        assert at == (row if label else nearest[row])


def test_it_is_never_of_the_same_video_or_words_and_draws_alike_for_a_step() -> None:
    model = small_model(stage=2, itm=True)
    groups = {"video_ids": [0, 0, 1, 1, 2, 2, 3, 3], "caption_ids": [0, 1, 2, 3, 0, 1, 2, 3]}
    seen = set()
    for step in range(12):
        rows = parted(step, **groups)
        once, again = (read_from(harder(model, rows, CONFIG, Draw(0, step, TOKENS))) for _ in range(2))
        assert once == again
        for row, at in enumerate(once):
            if not rows.itm_labels[row]:
                seen.add((row, at))
                assert groups["video_ids"][at] != groups["video_ids"][row]
                assert groups["caption_ids"][at] != groups["caption_ids"][row]
    assert len(seen) > 15  # a flat softmax draws all that are allowed


def test_dropout_of_the_step_is_not_moved() -> None:
    model, rows = small_model(stage=2, itm=True, dropout=0.3), parted(0)
    torch.manual_seed(5)
    wanted_draw = torch.rand(3)
    torch.manual_seed(5)
    harder(model, rows, CONFIG, Draw(0, 0, TOKENS))

    assert torch.equal(torch.rand(3), wanted_draw)


def test_they_are_asked_for_and_refused_of_models_without_towers() -> None:
    keys = ["data.manifest=m", "loop.steps=1", "objective.itm=1", "objective.itm_negatives=hard"]
    config = load_config(TrainConfig, None, [*keys, "model.stage=2", "model.itm=true"])

    assert wanted(config) and not wanted(CONFIG)
    with pytest.raises(Exception, match="hard needs towers"):
        load_config(TrainConfig, None, [*keys, "model.kind=soho", "objective.contrastive=0", "objective.mlm=1"])
