"""Learning another model's similarities: nothing is left to learn once they are equal, whatever the widths."""

from types import SimpleNamespace

import torch

from train.objectives.distill import loss
from train.rows import Rows


def test_the_loss_is_zero_for_equal_similarities_and_falls_towards_them() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    turn = torch.linalg.qr(torch.randn(12, 8, generator=generator))[0]
    rows = Rows(teacher_video=video @ turn.T, teacher_text=text @ turn.T)
    settings = SimpleNamespace(distill_temperature=0.1)

    def of(own: torch.Tensor) -> torch.Tensor:
        scale, bias = torch.tensor([10.0]), torch.zeros(1)
        return loss(SimpleNamespace(video=own, text=text, logit_scale=scale, logit_bias=bias), rows, None, settings)

    assert of(video).abs() < 1e-6
    own = torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1).requires_grad_()
    values = []
    for _ in range(3):
        value = of(own)
        (gradient,) = torch.autograd.grad(value, own)
        own = (own - 0.3 * gradient).detach().requires_grad_()
        values.append(float(value))
    assert values[0] > values[1] > values[2] > 0
