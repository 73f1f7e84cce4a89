"""Numbers stay on the device until they are read, some steps at a time."""

from __future__ import annotations

import torch

from train.loop.scalars import Scalars, Unread


def a_step(step: int, **values: torch.Tensor | float) -> Unread:
    return Unread(step, 0.1, [f"key{step}"], 0, {}, values)


def test_a_cpu_is_read_at_each_step_and_a_gpu_as_seldom_as_something_is_said() -> None:
    assert [Scalars(torch.device("cpu"), 10).due(step) for step in (1, 2, 10)] == [True, True, True]
    assert [Scalars(torch.device("cuda"), 10).due(step) for step in (1, 2, 10, 20)] == [False, False, True, True]


def test_what_was_added_is_read_once_in_order_with_tensors_and_plain_numbers() -> None:
    scalars = Scalars(torch.device("cuda"), 10)
    scalars.add(a_step(1, loss=torch.tensor(2.5), temperature=0.05))
    scalars.add(a_step(2, loss=torch.tensor([1.5]), temperature=0.06, grad_norm=torch.tensor(float("nan"))))

    first, second = scalars.read()

    assert (first.unread.step, first.values) == (1, {"loss": 2.5, "temperature": 0.05})
    assert second.unread.keys == ["key2"] and second.values["loss"] == 1.5
    assert second.values["grad_norm"] != second.values["grad_norm"]
    assert scalars.read() == []
