"""The smallest model and batches: fast enough for many comparisons, in fp64 so that equal means equal."""

from typing import Any

import torch

from train.losses import MaskTokens, contrastive_loss, count_asked, mask_tokens, mlm_loss
from train.models import Batch, Features, HDVila, ModelConfig, build_model

TOKENS = MaskTokens(mask_id=4, special_ids=(0, 1, 2, 3, 4), vocab_size=40)
TEXT_LENGTH = 8


def small_config(**changes: Any) -> ModelConfig:
    """A model of every part and a few thousand parameters, without dropout."""
    small: dict[str, Any] = {
        "preset": "tiny",
        "high": (64, 128),
        "n_frames": 3,
        "n_segments": 2,
        "trunk_width": 4,
        "trunk_norm": "frozen_batch",
        "width": 16,
        "n_heads": 2,
        "n_text_layers": 1,
        "n_multimodal_layers": 1,
        "vocab_size": TOKENS.vocab_size,
        "text_length": TEXT_LENGTH,
        "max_text_positions": TEXT_LENGTH,
        "dropout": 0.0,
        "drop_path": 0.0,
    }
    return ModelConfig(**{**small, **changes})


def small_model(seed: int = 0, **changes: Any) -> HDVila:
    """It in fp64, its zero-initialised weights made random, so that every path carries a signal."""
    model = build_model(small_config(**changes), seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if not name.startswith("temperature."):
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.1)
    return model


def small_batch(config: ModelConfig, n_clips: int, *, seed: int = 0) -> Batch:
    """Random pixels and sentences of different lengths, with masked words in stage 2."""
    generator = torch.Generator().manual_seed(seed)
    s, n = config.n_segments, config.n_frames
    middle = torch.randint(0, 256, (n_clips, s, 3, *config.high), generator=generator, dtype=torch.uint8)
    other = torch.randint(0, 256, (n_clips, s, n - 1, 3, *config.low), generator=generator, dtype=torch.uint8)
    ids = torch.randint(5, config.vocab_size, (n_clips, TEXT_LENGTH), generator=generator)
    lengths = torch.randint(3, TEXT_LENGTH + 1, (n_clips, 1), generator=generator)
    mask = (torch.arange(TEXT_LENGTH)[None] < lengths).long()
    ids = ids * mask
    if config.stage == 1:
        return Batch(middle, other, ids, mask)
    masked, labels = mask_tokens(ids, TOKENS, generator, share=0.4)
    return Batch(middle, other, masked, mask, labels)


def whole_loss(features: Features, batch: Batch, kind: Any = "infonce") -> torch.Tensor:
    """Contrastive loss, and in stage 2 masked words as well."""
    loss = contrastive_loss(features.video, features.text, features.logit_scale, None, kind, features.logit_bias)
    if features.mlm_logits is not None and batch.mlm_labels is not None:
        loss = loss + mlm_loss(features.mlm_logits, batch.mlm_labels)
    return loss


def cached_losses(batch: Batch, kind: Any = "infonce") -> dict[str, Any]:
    """The same objective as `cached_backward` takes it."""

    def contrastive(features: Features) -> torch.Tensor:
        return contrastive_loss(features.video, features.text, features.logit_scale, None, kind, features.logit_bias)

    if batch.mlm_labels is None:
        return {"loss_fn": contrastive}
    n_asked = count_asked(batch.mlm_labels)

    def words(features: Features, part: Batch) -> torch.Tensor:
        assert features.mlm_logits is not None and part.mlm_labels is not None
        return mlm_loss(features.mlm_logits, part.mlm_labels, n_asked=n_asked)

    return {"loss_fn": contrastive, "local_loss": words}


def gradients_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """{name: gradient} whole and on the CPU, whatever the model is wrapped in; parameters without one are left out."""
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradient = parameter.grad
            gradient = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
            found[name.removeprefix("module.")] = gradient.detach().clone()
    return found


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float = 1e-9) -> None:
    """The same names, and values that differ by less than `tolerance` of the largest gradient."""
    assert found.keys() == wanted.keys(), sorted(found.keys() ^ wanted.keys())[:5]
    largest = max(float(g.abs().max()) for g in wanted.values())
    off = {name: float((found[name] - wanted[name]).abs().max()) / largest for name in wanted}
    worst = max(off, key=off.__getitem__)
    assert off[worst] < tolerance, f"{worst} is off by {off[worst]:.1e}"
