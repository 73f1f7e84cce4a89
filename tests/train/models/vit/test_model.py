"""The hybrid on top of towers: it begins as the image tower, and every view of it can be trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from train.losses import contrastive_loss
from train.models.vit.configs import VitConfig
from train.models.vit.kind import build_vit
from train.models.vit.model import Vit
from train.rows import Rows

SMALL: dict[str, Any] = {
    "preset": "tiny",
    "image": {"size": 32, "patch": 8, "width": 16, "heads": 2, "mlp": 32},
    "text": {"width": 16, "heads": 2, "mlp": 32, "positions": 8},
    "width": 12,
    "high": (32, 32),
    "n_frames": 3,
    "vocab_size": 40,
    "text_length": 8,
}
SIGLIP = {"image": {**SMALL["image"], "family": "siglip"}, "text": {**SMALL["text"], "family": "siglip"}, "width": 16}
FAMILIES = {
    "clip": {},
    "siglip": SIGLIP,
    "dinov2 with words of clip": {"image": {**SMALL["image"], "family": "dinov2", "activation": "swiglu"}},
}


def small(**changes: Any) -> Vit:
    return build_vit(VitConfig(**{**SMALL, **changes}), 0).double()


def rows(config: VitConfig, n: int = 4, n_low: int | None = None) -> Rows:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    ids = torch.randint(5, 40, (n, 8), generator=generator)
    ids[:, 5] = 3
    return Rows(
        img_middle=draw(n, config.n_segments, 3, *config.high),
        img_other=draw(n, config.n_segments, n_low or config.n_frames - 1, 3, *config.low),
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
    )


def loss_of(model: Vit, batch: Rows) -> Tensor:
    found = model(batch)
    return contrastive_loss(found.video, found.text, found.logit_scale, None, "siglip", found.logit_bias)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_at_step_0_a_clip_is_what_the_image_tower_makes_of_its_high_frame(family: str) -> None:
    model = build_vit(VitConfig(**{**SMALL, **FAMILIES[family], "n_segments": 1}), 0).eval()
    batch = rows(model.config)

    own = model.embed_picture(batch.img_middle[:, 0])

    assert torch.equal(model.embed_video(batch.img_middle, batch.img_other), own)
    assert torch.equal(model.embed_video(batch.img_middle, None), own)


def test_after_a_step_the_neighbours_and_their_order_count() -> None:
    model = small()
    batch = rows(model.config)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    loss_of(model, batch).backward()
    optimizer.step()

    with torch.no_grad():
        forwards = model.embed_video(batch.img_middle, batch.img_other)
        backwards = model.embed_video(batch.img_middle, batch.img_other.flip(2))
        alone = model.embed_video(batch.img_middle, None)
    assert not torch.allclose(forwards, alone)
    assert not torch.allclose(forwards, backwards)


def seen(batch: Rows, view: str) -> Rows:
    """What a view shows of it."""
    names = {"high": ("img_middle",), "low": ("img_other",)}.get(view, ("img_middle", "img_other"))
    return Rows({name: batch.get(name) for name in (*names, "input_ids", "attention_mask")})


@pytest.mark.parametrize("tuning", ["full", "frozen"])
@pytest.mark.parametrize("view", ["hybrid", "high", "low"])
@pytest.mark.parametrize("family", FAMILIES)
def test_exactly_what_learns_gets_a_gradient(family: str, view: str, tuning: str) -> None:
    model = small(**FAMILIES[family], image_tune=tuning, text_tune=tuning)
    model.mark_trainable(["contrastive"], view, ("video", "text", "logit_scale", "logit_bias"))

    loss_of(model, seen(rows(model.config, n_low=3 if view == "low" else None), view)).backward()

    marked = {name for name, p in model.named_parameters() if p.requires_grad}
    assert marked == {name for name, p in model.named_parameters() if p.grad is not None}
    of_towers = [name for name in marked if name.startswith(("image.", "text."))]
    assert bool(of_towers) == (tuning != "frozen")


def test_recomputing_blocks_gives_the_same_gradients() -> None:
    def gradients(**changes: Any) -> dict[str, Tensor]:
        model = small(**changes)
        loss_of(model, rows(model.config)).backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    wanted, found = gradients(), gradients(gradient_checkpointing=True)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def passing_light(n: int, generator: torch.Generator) -> tuple[Rows, Tensor]:
    """Clips in which a light passes from left to right (1) or back (0), their sentences, and which way. Both have
    the same high frame, and low ones that differ in their order alone."""
    to_right = torch.arange(n) % 2
    low = 100 + 10 * torch.randn(n, 1, 2, 3, 16, 16, generator=generator)
    for clip in range(n):
        low[clip, 0, 1 - to_right[clip], :, :, :8] += 100
        low[clip, 0, to_right[clip], :, :, 8:] += 100
    ids = torch.tensor([[2, 10, 3, 0, 0, 0, 0, 0], [2, 11, 3, 0, 0, 0, 0, 0]])[to_right]
    high = torch.full((n, 1, 3, 32, 32), 100.0)
    return Rows(img_middle=high, img_other=low, input_ids=ids, attention_mask=(ids > 0).long()), to_right


@pytest.mark.long
def test_what_the_order_of_neighbours_alone_shows_is_learned() -> None:
    model, generator = small().float(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(80):
        batch, to_right = passing_light(16, generator)
        found = model(batch)
        optimizer.zero_grad()
        contrastive_loss(found.video, found.text, found.logit_scale, caption_ids=to_right).backward()
        optimizer.step()

    batch, to_right = passing_light(64, generator)
    with torch.no_grad():
        found = model(batch)
    assert torch.equal((found.video @ found.text[:2].T).argmax(1), to_right)
