"""SOHO at its released size agrees with the published model: tokens, logits, losses, gradients, dictionary steps."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import train
from tests.train.models.golden import assert_statistics_agree
from tests.train.models.soho_golden import (
    COSINE_TOLERANCE,
    GRADIENT_TOLERANCE,
    LOSS_TOLERANCE,
    TOKEN_TOLERANCE,
    assert_rows_agree,
    check_weights,
    soho_batch,
    soho_draw,
    soho_golden,
    soho_weights,
)
from train.models.soho import Soho, SohoOutput, SohoVqa, soho_losses
from train.models.soho.model import Answered
from train.objectives.answers import ANSWERS
from train.rows import Rows

RECORDED = ("backbone.", "neck.", "language.")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    found = soho_weights(train.official_keys(model="soho"))
    check_weights(found, soho_golden("small")["weight_checks"])
    return found


@pytest.fixture
def model(weights: dict[str, Tensor]) -> Iterator[Soho]:
    """Anew for each test: a dictionary step changes it."""
    loaded = train.load_official(weights)
    assert isinstance(loaded, Soho)
    yield loaded


def run(model: Soho, case: str) -> tuple[SohoOutput, dict[str, Tensor], dict[str, Tensor]]:
    """(output, losses, outputs of the modules by name) of a golden case."""
    numbers = soho_golden(case)
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: torch.nn.Module, arguments: Any, output: Any) -> None:
            kept[name] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    handles = [
        module.register_forward_hook(keep(name)) for name, module in model.named_modules() if name.startswith(RECORDED)
    ]
    batch = soho_batch(numbers)
    output = model(batch, mvm_draw=soho_draw(numbers))
    for handle in handles:
        handle.remove()
    return output, soho_losses(output, batch), kept


def in_the_layout_of(found: Tensor, shape: list[int]) -> Tensor:
    """The reference records one map a sentence and the last norm as a map; ours may hold rows or a map a picture."""
    if list(found.shape) == shape:
        return found
    if found.ndim == 3 and len(shape) == 4:  # tokens [R, P, D] -> [R, gh, gw, D]
        return found.unflatten(1, (shape[1], shape[2]))
    return found.reshape(shape)


def assert_losses(losses: dict[str, Tensor], wanted: dict[str, float]) -> None:
    for name in ("mlm", "mvm", "itm"):
        assert float(losses[name].detach()) == pytest.approx(wanted[name], abs=LOSS_TOLERANCE), name


def assert_case_agrees(model: Soho, case: str) -> None:
    wanted = soho_golden(case)["cases"][case]["fp32"]
    with torch.no_grad():
        output, losses, kept = run(model, case)
    s = len(output.itm_logits) // len(wanted["visual_mask"])
    assert output.visual_mask.int().tolist() == [row for row in wanted["visual_mask"] for _ in range(s)]
    assert output.indices.tolist() == [row for row in wanted["dictionary_indices"] for _ in range(s)]
    assert output.mvm_labels.tolist() == wanted["mvm_labels"]
    assert_rows_agree(output.visual_tokens, wanted["visual_tokens"], "token", "visual tokens")
    assert_rows_agree(output.hidden, wanted["hidden"], "position", "hidden states")
    assert torch.allclose(output.itm_logits, torch.tensor(wanted["itm_logits"]), atol=TOKEN_TOLERANCE)
    assert_losses(losses, wanted["losses"])
    assert float(losses["total"]) == pytest.approx(wanted["losses"]["total"], abs=3 * LOSS_TOLERANCE)
    assert_logits(model, output, case, wanted)
    for name, statistics in wanted["intermediates"].items():
        found = kept[name if name in kept else f"{name}.1"]  # a stage's map is its last block's
        assert_statistics_agree(in_the_layout_of(found, statistics["shape"]), statistics, name)


def assert_logits(model: Soho, output: SohoOutput, case: str, wanted: dict[str, Any]) -> None:
    labels = torch.tensor(soho_golden(case)["text"]["mlm_labels"])
    assert output.mlm_logits is not None
    asked = labels[labels != -100]
    assert (labels != -100).nonzero().tolist() == wanted["mlm_logits"]["positions"]
    found = output.mlm_logits.gather(1, asked[:, None])[:, 0]
    assert torch.allclose(found, torch.tensor(wanted["mlm_logits"]["label_logit"]), atol=TOKEN_TOLERANCE)
    with torch.no_grad():
        l2 = float(model.mask_l_fc(output.hidden[:, : labels.shape[1]]).double().norm())
    assert l2 == pytest.approx(wanted["mlm_logits"]["l2_all"], rel=1e-5)
    places = (output.mvm_labels != -100).nonzero().tolist()
    assert places == wanted["mvm_logits"]["places"]
    cosines = output.mvm_logits.gather(1, output.mvm_labels[output.mvm_labels != -100][:, None])[:, 0]
    assert torch.allclose(cosines, torch.tensor(wanted["mvm_logits"]["label_logit"]), atol=COSINE_TOLERANCE)
    for row in wanted["mvm_logits"]["rows"]:
        found = output.mvm_logits[places.index(row["place"])]
        assert torch.allclose(found[:32], torch.tensor(row["first32"]), atol=COSINE_TOLERANCE)


def assert_dictionary(model: Soho, output: SohoOutput, wanted: dict[str, Any]) -> None:
    """The dictionary after one step: which cells chose what, entries and statistics."""
    vq = model.neck.vq
    counts = torch.bincount(output.indices.flatten(), minlength=len(vq.embed))
    assert {str(i): n for i, n in enumerate(counts.tolist()) if n} == wanted["assigned"]
    for entry in wanted["used"] + wanted["unused"]:
        row = vq.embed[entry["index"]]
        assert torch.allclose(row[:8], torch.tensor(entry["first8"]), atol=TOKEN_TOLERANCE)
        assert float(row.norm()) == pytest.approx(entry["norm"], abs=1e-4)
        assert float(vq.cluster_size[entry["index"]]) == pytest.approx(entry["cluster_size"], abs=1e-4)
        assert float(vq.cluster_sum[entry["index"]]) == entry["cluster_sum"]
        sums = torch.tensor(entry["embed_avg_first4"])
        assert torch.allclose(vq.embed_avg[entry["index"]][:4], sums, atol=1e-4)
    assert float(vq.cluster_size.double().sum()) == pytest.approx(wanted["cluster_size_sum"], rel=1e-5)
    assert float(vq.cluster_sum.double().sum()) == wanted["cluster_sum_sum"]
    assert float(vq.embed.double().norm()) == pytest.approx(wanted["embed_l2"], rel=1e-6)
    assert float(vq.embed_avg.double().norm()) == pytest.approx(wanted["embed_avg_l2"], rel=1e-6)
    assert int((vq.embed == 0).all(1).sum()) == wanted["entries_exactly_zero"]
    assert float(output.visual_tokens.double().norm()) == pytest.approx(wanted["tokens_l2"], rel=1e-6)


def test_tokens_logits_and_losses_are_the_published_models(model: Soho) -> None:
    assert_case_agrees(model, "small")


def test_gradients_are_the_published_models(model: Soho) -> None:
    wanted = soho_golden("small")["cases"]["small"]["fp32"]["grad"]
    _, losses, _ = run(model, "small")
    torch.autograd.backward(losses["total"])
    gradients = {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}
    assert sum(p.grad is None for p in model.parameters()) == wanted["none_grad"]
    for group, l2 in wanted["group_l2"].items():
        total = sum(float(g.square().sum()) for name, g in gradients.items() if name.startswith(f"{group}."))
        assert total**0.5 == pytest.approx(l2, rel=GRADIENT_TOLERANCE), group
    for name, sample in wanted["tensors"].items():
        gradient = gradients[name]
        assert float(gradient.norm()) == pytest.approx(sample["l2"], rel=GRADIENT_TOLERANCE), name
        margin = GRADIENT_TOLERANCE * sample["l2"] / gradient.numel() ** 0.5 * 10
        assert gradient.flatten()[:4].tolist() == pytest.approx(sample["first4"], abs=margin), name


@pytest.mark.parametrize("case", ["ema", pytest.param("ema_fresh", marks=pytest.mark.long)])
def test_a_dictionary_step_is_the_published_models(model: Soho, case: str) -> None:
    wanted = soho_golden("small")["cases"]["small"]["fp32"][case]
    assert_dictionary_step(model, "small", wanted, fresh=case == "ema_fresh")


def assert_dictionary_step(model: Soho, case: str, wanted: dict[str, Any], *, fresh: bool) -> None:
    vq = model.neck.vq
    before = vq.embed.clone()
    if fresh:
        for statistics in (vq.cluster_size, vq.cluster_sum, vq.embed_avg):
            statistics.zero_()
    vq.train()
    with torch.no_grad():
        output, losses, kept = run(model, case)
    assert_dictionary(model, output, wanted)
    assert float((vq.embed - before).abs().max()) == pytest.approx(wanted["embed_max_change"], abs=TOKEN_TOLERANCE)
    first = torch.tensor(wanted["quantised_first8"])
    assert torch.allclose(kept["neck.vq"][0, :8], first, atol=TOKEN_TOLERANCE)
    assert_losses(losses, wanted["losses"])


def test_the_neck_in_training_has_the_published_models_statistics(model: Soho) -> None:
    wanted = soho_golden("small")["cases"]["small"]["fp32"]["neck_train"]
    model.neck.train()
    with torch.no_grad():
        output, losses, _ = run(model, "small")
    assert_dictionary(model, output, wanted)
    assert_losses(losses, wanted["losses"])
    found = dict(model.neck.named_buffers())
    for name, reference in wanted["bn"].items():
        assert float(found[name].double().sum()) == pytest.approx(reference["sum"], rel=1e-5)
        first = torch.tensor(reference["first4"])
        assert torch.allclose(found[name][: len(first)], first, atol=TOKEN_TOLERANCE)


def test_answers_are_the_published_models() -> None:
    numbers = soho_golden("vqa_small")
    keys = train.official_keys(model="soho_vqa")
    assert len(keys) == numbers["keys"]
    assert {key: list(keys[key]) for key in numbers["extra_keys"]} == numbers["extra_keys"]
    model = train.load_official(soho_weights(keys))
    assert isinstance(model, SohoVqa)
    wanted = numbers["cases"]["vqa_small"]["fp32"]
    batch = soho_batch(numbers)
    with torch.no_grad():
        logits = model(batch).answer_logits
        tokens, mask, _ = model.encode(batch)
    assert mask.int().tolist() == wanted["visual_mask"]
    assert_rows_agree(tokens, wanted["visual_tokens"], "token", "visual tokens")
    for row, reference in zip(logits, wanted["logits"], strict=True):
        assert torch.allclose(row[:32], torch.tensor(reference["first32"]), atol=TOKEN_TOLERANCE)
        assert float(row.norm()) == pytest.approx(reference["norm"], rel=1e-6)
        assert int(row.argmax()) == reference["argmax"]
    targets = torch.zeros_like(logits)
    for row, labels, scores in zip(targets, numbers["answers"]["labels"], numbers["answers"]["scores"], strict=True):
        row[labels] = torch.tensor(scores)
    loss = ANSWERS.loss(Answered(logits), Rows({"targets": targets}), len(logits), ANSWERS.settings())
    assert float(loss) == pytest.approx(wanted["loss"], abs=1e-2)


@pytest.mark.long
def test_at_the_released_resolution_it_is_the_published_model(model: Soho) -> None:
    assert_case_agrees(model, "full")


@pytest.mark.long
@pytest.mark.parametrize("case", ["ema", "ema_fresh"])
def test_a_dictionary_step_at_the_released_resolution_is_the_published_models(model: Soho, case: str) -> None:
    wanted = soho_golden("full")["cases"]["full"]["fp32"][case]
    assert_dictionary_step(model, "full", wanted, fresh=case == "ema_fresh")
