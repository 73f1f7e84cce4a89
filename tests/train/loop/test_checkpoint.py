"""Checkpoints: whole or absent, the right ones kept, refused with a reason where they don't fit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist

from hdvila_testing.drawn_set import MICRO_MODEL
from manifests.errors import UserError
from train.distributed import Process
from train.loop.checkpoint import (
    Checkpointer,
    Facts,
    best_of,
    capture,
    checkpoints,
    find_checkpoint,
    folder_of,
    read_facts,
    restore,
)
from train.loop.optim import build_optimizer
from train.models import ModelConfig, build_model
from train.sections import OptimConfig

ALONE = Process(0, 1, torch.device("cpu"))
FACTS = Facts(step=1, manifest_sha256="m", index_fingerprint="i", config={}, world=1)


def parts(seed=0, **changes):
    model = build_model(ModelConfig(**{**MICRO_MODEL, **changes}), seed=seed)
    return model, build_optimizer(model, OptimConfig())


def take_step(model, optimizer):
    sum(p.square().sum() for p in model.parameters() if p.requires_grad).backward()
    optimizer.step()
    optimizer.zero_grad()


def a_checkpointer(run, keep=3):
    return Checkpointer(run, ALONE, keep=keep)


def step_of(run, step):
    return folder_of(run) / f"step-{step:08d}"


def save(writer, state, facts):
    writer.save(state, facts)
    writer.wait()


def flat(state):
    return {f"{part}.{name}": value for part, tensors in state.items() for name, value in tensors.items()}


def test_what_is_restored_equals_what_was_saved_bit_for_bit(tmp_path):
    saved = parts(0)
    take_step(*saved)
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*saved), FACTS)

    other = parts(1)
    facts = restore(step_of(tmp_path, 1), *other)

    assert facts == FACTS
    one, two = flat(capture(*saved)), flat(capture(*other))
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.fixture
def group_of_one():
    """What torch reads a checkpoint into tensors without storage with."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("kernel", ["fused", "capturable"])
def test_a_restored_optimizer_has_its_state_where_its_kernel_looks_for_it(tmp_path, group_of_one, kernel):
    saved = parts(0)
    take_step(*saved)
    save(a_checkpointer(tmp_path), capture(*saved), FACTS)
    elsewhere = parts(1)[0].to("meta")
    optimizer = build_optimizer(elsewhere, OptimConfig())
    for group in optimizer.param_groups:
        group[kernel] = True

    restore(step_of(tmp_path, 1), elsewhere, optimizer)

    held = [value for state in optimizer.state.values() for value in state.values()]
    assert held and {value.device.type for value in held} == {"meta"}


def test_a_parameter_without_a_gradient_yet_gets_its_state_from_the_optimizer(tmp_path):
    model, optimizer = parts()

    capture(model, optimizer)

    assert not optimizer.state, "a count of steps made here may lie where the kernel does not look"


def test_training_goes_on_while_a_checkpoint_is_written_that_holds_the_moment_it_was_taken(tmp_path):
    saved = parts()
    take_step(*saved)
    before = {k: v.clone() for k, v in flat(capture(*saved)).items()}
    writer = a_checkpointer(tmp_path)

    writer.save(capture(*saved), FACTS)
    take_step(*saved)
    writer.wait()

    other = parts(1)
    restore(step_of(tmp_path, 1), *other)
    assert all(torch.equal(before[k], v) for k, v in flat(capture(*other)).items())


def test_the_newest_and_the_best_are_kept(tmp_path):
    writer, state = a_checkpointer(tmp_path, keep=2), capture(*parts())
    for step, r1 in enumerate([0.1, 0.5, 0.2, 0.3, 0.1], start=1):
        save(writer, state, replace(FACTS, step=step, scores={"t2v_r1": r1}))

    assert [read_facts(p).step for p in checkpoints(tmp_path)] == [2, 4, 5]
    assert best_of(checkpoints(tmp_path)) == step_of(tmp_path, 2)
    assert find_checkpoint(tmp_path) == step_of(tmp_path, 5) and find_checkpoint(tmp_path, best=True) == step_of(
        tmp_path, 2
    )


@pytest.mark.parametrize(("contrastive", "best"), [(1.0, 1), (0.0, 2)])
def test_the_best_is_the_best_by_what_is_trained(tmp_path, contrastive, best):
    writer, state = a_checkpointer(tmp_path), capture(*parts())
    facts = replace(FACTS, config={"objective": {"contrastive": contrastive, "mlm": 1.0}})
    for step, r1, loss in ((1, 0.5, 3.0), (2, 0.4, 2.0)):
        save(writer, state, replace(facts, step=step, scores={"t2v_r1": r1, "val_loss": loss}))

    assert best_of(checkpoints(tmp_path)) == step_of(tmp_path, best)


def test_an_unfinished_checkpoint_is_no_checkpoint_and_goes_at_the_next_start(tmp_path):
    writer, state = a_checkpointer(tmp_path), capture(*parts())
    save(writer, state, FACTS)
    left = step_of(tmp_path, 2)
    left.mkdir()
    (left / "__0_0.distcp").write_bytes(b"half")

    assert checkpoints(tmp_path) == [step_of(tmp_path, 1)]
    a_checkpointer(tmp_path)
    assert not left.exists()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*parts()), FACTS)

    with pytest.raises(UserError, match=r"step-00000001: does not fit this model"):
        restore(step_of(tmp_path, 1), *parts(width=64, n_heads=4))
    with pytest.raises(UserError, match=r"step-00000001: does not fit this model"):
        restore(step_of(tmp_path, 1), *parts(n_text_layers=2))


def test_a_damaged_checkpoint_and_an_unknown_format_are_refused(tmp_path):
    writer = a_checkpointer(tmp_path)
    save(writer, capture(*parts()), FACTS)
    path = step_of(tmp_path, 1)
    (data,) = path.glob("*.distcp")
    data.write_bytes(data.read_bytes()[:100])

    with pytest.raises(UserError, match="or is damaged"):
        restore(path, *parts())
    facts = json.loads((path / "facts.json").read_text())
    (path / "facts.json").write_text(json.dumps({**facts, "format": 9}))
    with pytest.raises(UserError, match="format 9, this program reads 2"):
        read_facts(path)
    with pytest.raises(UserError, match="holds no checkpoint"):
        find_checkpoint(path.parent)
