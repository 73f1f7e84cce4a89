"""The temperature keeps within its bound; embeddings are held in test_hd_vila.py and test_golden_hd_vila.py."""

import pytest
import torch

from train.models.temperature import Temperature


def test_a_learned_temperature_is_bounded_and_a_fixed_one_is_no_key() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    assert float(learned()[0].detach()) == pytest.approx(20.0)
    with torch.no_grad():
        learned.logit_scale.fill_(50.0)
    assert float(learned()[0].detach()) == pytest.approx(100.0)
    assert not Temperature(0.05, 0.0, learned=False).state_dict()


def test_a_temperature_at_its_bound_can_come_back() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    with torch.no_grad():
        learned.logit_scale.fill_(6.0)
    scale, _ = learned()
    torch.autograd.backward(scale)
    assert isinstance(learned.logit_scale, torch.nn.Parameter)
    assert learned.logit_scale.grad is not None
    assert float(learned.logit_scale.grad) == pytest.approx(100.0)
    learned.bound()
    assert float(learned.logit_scale.detach().exp()) == pytest.approx(100.0)
