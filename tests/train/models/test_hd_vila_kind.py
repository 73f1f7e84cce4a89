"""First values: the seed decides, and attention in time starts as published."""

import torch

from tests.train.model_cases import small_batch, small_config
from train.models import build_model


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_draws_alone() -> None:
    torch.manual_seed(9)
    wanted_draw = torch.rand(3)
    torch.manual_seed(9)
    first, again, other = (build_model(small_config(), seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted_draw)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_attention_in_time_starts_at_zero_as_published_or_drawn_where_nothing_pre_trained_comes():
    published, drawn = (build_model(small_config(time_init=init), seed=0) for init in ("zero", "random"))
    for block in published.timesformer.blocks:
        assert not block.temporal_fc.weight.any()
    assert not published.timesformer.time_embed.any()
    assert drawn.timesformer.time_embed.std() > 0.2
    assert all(block.temporal_fc.weight.std() > 0.1 for block in drawn.timesformer.blocks)  # 1 / sqrt(16) = 0.25

    batch = small_batch(small_config(), 2)
    for model, sees_order in ((published, False), (drawn, True)):
        model = model.double().eval()
        pair = [model.embed_video(batch.img_middle, x) for x in (batch.img_other, batch.img_other.flip(2))]
        assert torch.allclose(*pair, atol=1e-7) is not sees_order
