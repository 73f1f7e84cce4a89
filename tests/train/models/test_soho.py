"""SOHO's parts hold what they say: masks that fit pictures, a dictionary that lives, files whose every key is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import train
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from train.cli import app
from train.models.official import OfficialMismatch
from train.models.published import load_official
from train.models.soho import ImageBatch, MvmDraw, Soho, SohoConfig, build_soho, soho_losses
from train.models.soho.batch import on_canvas
from train.models.soho.dictionary import Dictionary
from train.models.soho.neck import draw_from, mvm_labels, valid_cells
from train.models.soho.official import WORDS, WORDS_ALIAS, config_of, official_soho_keys

MEAN, STD = torch.zeros(3), torch.ones(3)


def small_config(**changes: Any) -> SohoConfig:
    base: dict[str, Any] = {
        "preset": "tiny", "width": 32, "n_entries": 24, "vocab_size": 64, "text_length": 8,
        "image_size": (64, 96), "trunk_width": 8, "dropout": 0.0,
    }  # fmt: skip
    return SohoConfig(**{**base, **changes})


def small_batch(n: int = 4, s: int = 1, seed: int = 0) -> ImageBatch:
    """Pictures of 64x96 with their last columns empty in every other one, and random sentences."""
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 64, 96), generator=g).float()
    valid = torch.tensor([[64, 96 if i % 2 == 0 else 60] for i in range(n)])
    ids = torch.randint(5, 64, (n * s, 8), generator=g)
    labels = torch.where(torch.rand(n * s, 8, generator=g) < 0.3, ids, -100)
    matches = torch.arange(n * s) % 2
    draws = torch.stack([torch.rand(n * s, generator=g), torch.ones(n * s)], 1)
    return ImageBatch(images, valid, None, ids, torch.ones(n * s, 8), labels, matches, draws)


def loss_of(model: Soho, batch: ImageBatch) -> Tensor:
    return soho_losses(model(batch), batch)["total"]


# ---- what is picture and what is padding -----------------------------------------------------------------------------


def test_true_mask_covers_the_picture_and_the_published_one_a_square() -> None:
    tall = on_canvas(ImageBatch([torch.zeros(3, 1000, 600)]), MEAN, STD)
    wide = on_canvas(ImageBatch([torch.zeros(3, 600, 800), torch.zeros(3, 600, 1000)]), MEAN, STD)
    assert tall.pixels.shape[-2:] == (1024, 608)
    assert valid_cells(tall, (16, 9), square=False).all()
    square = valid_cells(tall, (16, 9), square=True)[0]
    assert square[0].tolist() == [True] * 6 + [False] * 3
    true = valid_cells(wide, (9, 16), square=False)[0, 0]
    assert true.tolist() == [True] * 13 + [False] * 3  # 800 of 1024 columns
    assert valid_cells(wide, (9, 16), square=True)[0, 0].all()


def test_what_lies_outside_a_picture_changes_nothing() -> None:
    model = build_soho(small_config(), seed=0).eval()
    batch = small_batch()
    assert isinstance(batch.images, Tensor)
    noisy = batch.images.clone()
    noisy[1::2, :, :, 60:] = 255.0
    changed = ImageBatch(noisy, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        assert torch.equal(model(plain).itm_logits, model(changed).itm_logits)


def test_a_list_of_pictures_and_a_padded_batch_are_the_same() -> None:
    pictures = [torch.rand(3, 64, 96) * 255, torch.rand(3, 50, 70) * 255]
    padded = torch.zeros(2, 3, 64, 96)
    for place, picture in zip(padded, pictures, strict=True):
        place[:, : picture.shape[1], : picture.shape[2]] = picture
    listed = on_canvas(ImageBatch(pictures), MEAN + 100, STD * 50)
    batched = on_canvas(ImageBatch(padded, [[64, 96], [50, 70]]), MEAN + 100, STD * 50)
    assert torch.equal(listed.pixels, batched.pixels)
    assert listed.padded_hw.tolist() == batched.padded_hw.tolist() == [[64, 96], [64, 96]]


# ---- masking ---------------------------------------------------------------------------------------------------------


def test_all_cells_of_the_drawn_word_are_masked_in_chosen_rows_alone() -> None:
    indices = torch.tensor([[3, 7, 3, 3], [3, 7, 3, 3]])
    mask = torch.tensor([[True, True, True, False]] * 2)
    labels = mvm_labels(indices, mask, MvmDraw(0, torch.tensor([1, 0])))
    assert labels.tolist() == [[3, -100, 3, -100], [-100] * 4]
    assert (mvm_labels(indices, mask, MvmDraw(3, torch.tensor([1, 1]))) == -100).all()  # the place is padding


def test_every_valid_cell_can_be_drawn_and_no_other() -> None:
    mask = torch.tensor([[True, False, True, False, True]]).expand(300, 5)
    draws = torch.rand(300, 2, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    draw = draw_from(draws, mask)
    assert torch.unique(torch.as_tensor(draw.location)).tolist() == [0, 2, 4]
    assert torch.equal(draw.chosen, draws[:, 1] > 0)


def test_sentences_of_other_pictures_are_not_asked_for_cells() -> None:
    model = build_soho(small_config(), seed=0)
    batch = small_batch()
    with torch.no_grad():
        labels = model(batch, mvm_draw=MvmDraw(0, torch.ones(4))).mvm_labels
    asked = (labels != -100).any(1)
    assert asked.tolist() == [False, True, False, True]


def test_evaluation_masks_nothing_by_itself() -> None:
    model = build_soho(small_config(), seed=0).eval()
    batch = small_batch()
    plain = ImageBatch(batch.images, batch.valid_hw, None, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        output = model(plain)
    assert (output.mvm_labels == -100).all()
    assert output.mlm_logits is None
    assert output.mvm_logits.shape == (0, 24)


# ---- the dictionary --------------------------------------------------------------------------------------------------


def blobs(n: int, seed: int) -> Tensor:
    """Features around eight centres."""
    g = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(8, 16, generator=torch.Generator().manual_seed(99))
    return centres[torch.randint(8, (n,), generator=g)] + 0.1 * torch.randn(n, 16, generator=g)


def trained(*, published: bool, steps: int) -> Dictionary:
    torch.manual_seed(0)
    vq = Dictionary(64, 16, decay=0.4 if published else 0.9, floor=0.05, published=published).train()
    for step in range(steps):
        vq(blobs(200, step))
        if not published:
            vq.commit()
    return vq


def test_the_published_rule_collapses_from_zero_statistics_and_ours_does_not() -> None:
    published, ours = trained(published=True, steps=1), trained(published=False, steps=1)
    n_used = int((published.cluster_sum > 0).sum())
    assert int((published.embed == 0).all(1).sum()) == 64 - n_used
    assert not (ours.embed == 0).all(1).any()


def test_dead_entries_are_seeded_anew_where_the_published_rule_leaves_zeros() -> None:
    published, ours = trained(published=True, steps=60), trained(published=False, steps=60)
    cells = blobs(400, 1000)
    error = {name: float(vq.nearest(cells)[1].mean()) for name, vq in (("published", published), ("ours", ours))}
    assert int((published.embed.norm(dim=1) < 1e-3).sum()) > 32
    assert int((ours.embed.norm(dim=1) < 1e-3).sum()) == 0
    assert error["ours"] <= error["published"]
    assert ours.usage()["perplexity"] > published.usage()["perplexity"]
    assert ours.usage()["live_entries"] >= 32


def test_the_old_dictionary_serves_the_step_and_the_sums_come_after_it() -> None:
    vq = Dictionary(8, 4, decay=0.9, floor=0.0, published=False).train()
    before = vq.embed.clone()
    cells = torch.randn(20, 4)
    chosen, indices = vq(cells)
    assert torch.equal(vq.embed, before)
    assert torch.allclose(chosen, before[indices], atol=1e-6)
    vq.commit()
    assert not torch.equal(vq.embed, before)


def test_a_pass_without_gradients_is_not_counted_twice() -> None:
    vq = Dictionary(8, 4, decay=0.9, floor=0.0, published=False).train()
    cells = torch.randn(20, 4)
    with torch.no_grad():
        vq(cells)
    vq(cells)
    assert float(vq.collected_counts.sum()) == 20


def test_padding_is_not_counted() -> None:
    model = build_soho(small_config(), seed=0)
    model(small_batch())
    n_cells = [2 * 3, 2 * 2] * 2  # 60 of 96 columns: two of three cells
    assert float(model.neck.vq.collected_counts.sum()) == sum(n_cells)


@pytest.mark.parametrize("recompute", [False, True])
def test_micro_batches_give_the_whole_batchs_gradients_and_dictionary(recompute: bool) -> None:
    batch = small_batch(8, s=2)
    whole, split = (build_soho(small_config(gradient_checkpointing=recompute), seed=1).double() for _ in range(2))
    torch.autograd.backward(itm_sum(whole, batch))
    for part in batch.split(2):
        torch.autograd.backward(itm_sum(split, part))
    for (name, a), (_, b) in zip(whole.named_parameters(), split.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None, name
        assert torch.allclose(a.grad, b.grad, atol=1e-9), name
    whole.after_step()
    split.after_step()
    assert torch.allclose(whole.neck.vq.embed, split.neck.vq.embed, atol=1e-9)
    assert torch.allclose(whole.neck.vq.cluster_size, split.neck.vq.cluster_size)


def itm_sum(model: Soho, batch: ImageBatch) -> Tensor:
    """A loss that is a sum over rows, through every output."""
    output = model(batch)
    assert output.mlm_logits is not None
    return output.itm_logits.square().sum() + output.mlm_logits.square().sum() + output.mvm_logits.sum()


def test_compat_refuses_a_second_pass_of_a_step_by_name() -> None:
    model = build_soho(small_config(compat=True), seed=0)
    model(small_batch())
    with pytest.raises(UserError, match="micro_batch"):
        model(small_batch())
    model.after_step()
    model(small_batch())


# ---- learning --------------------------------------------------------------------------------------------------------


def test_the_three_losses_fall_on_one_batch() -> None:
    torch.manual_seed(0)
    model = build_soho(small_config(), seed=0)
    batch = small_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    curves: dict[str, list[float]] = {}
    for _ in range(60):
        losses = soho_losses(model(batch), batch, on_negatives=False)
        torch.autograd.backward(losses["total"])
        optimizer.step()
        optimizer.zero_grad()
        model.after_step()
        for name, value in losses.items():
            curves.setdefault(name, []).append(float(value.detach()))
    for name in ("mlm", "mvm", "itm"):
        assert curves[name][-1] < 0.5 * curves[name][0], (name, curves[name][0], curves[name][-1])


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    first = build_soho(small_config(), seed=3).state_dict()
    torch.manual_seed(6)
    second = build_soho(small_config(), seed=3).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


# ---- published files -------------------------------------------------------------------------------------------------


def test_the_keys_are_the_published_ones_in_number_and_size() -> None:
    keys = train.official_keys(model="soho")
    assert (len(keys), len(train.official_keys(model="soho_vqa"))) == (196, 185)
    with torch.device("meta"):
        model = Soho(SohoConfig(compat=True))
    assert sum(p.numel() for p in model.parameters()) == 57_269_572
    assert sum(value.numel() for name, value in model.named_buffers() if name in keys) == 3_160_986
    paper = SohoConfig(preset="soho_paper", compat=True)
    assert len(official_soho_keys(config=paper)) == 844
    with torch.device("meta"):
        assert sum(p.numel() for p in Soho(paper).parameters()) == 153_563_716


def test_depth_and_layers_are_told_by_the_keys() -> None:
    paper = SohoConfig(preset="soho_paper", compat=True)
    found = config_of(official_soho_keys(config=paper))
    assert (found.trunk, found.trunk_depths, found.n_layers) == ("bottleneck", (3, 4, 23, 3), 12)
    released = config_of(train.official_keys(model="soho"))
    assert (released.trunk, released.trunk_depths, released.n_layers) == ("basic", (2, 2, 2, 2), 3)


def shapes_only(**options: Any) -> dict[str, Tensor]:
    return {key: torch.zeros(()).expand(shape) for key, shape in official_soho_keys(**options).items()}


@pytest.mark.parametrize("vqa", [False, True])
def test_a_mismatch_names_missing_unknown_and_misshapen_keys(vqa: bool) -> None:
    weights = shapes_only(vqa=vqa)
    del weights["neck.ln.bias"]
    weights["head.other.weight"] = torch.zeros(1)
    weights["backbone.conv1.weight"] = torch.zeros(3, 3)
    with pytest.raises(OfficialMismatch) as caught:
        load_official(weights)
    message = str(caught.value)
    assert "1 missing: neck.ln.bias" in message
    assert "1 unknown: head.other.weight" in message
    assert "backbone.conv1.weight (3, 3) for (64, 3, 7, 7)" in message


def test_two_different_word_tables_are_refused() -> None:
    weights = shapes_only()
    weights[WORDS_ALIAS] = torch.ones(()).expand(weights[WORDS].shape)
    with pytest.raises(OfficialMismatch, match="one tensor in the model but differ"):
        load_official(weights)


def test_a_wrapped_file_comes_back_as_it_went(tmp_path: Path) -> None:
    g = torch.Generator().manual_seed(0)
    numbers = torch.randn(30522 * 768, generator=g)
    weights = {
        f"module.{key}": numbers[: torch.Size(shape).numel()].view(shape)
        for key, shape in train.official_keys(model="soho").items()
        if not key.endswith("num_batches_tracked") and key != WORDS_ALIAS
    }
    model = load_official({"meta": {}, "state_dict": weights})
    assert isinstance(model, Soho) and model.config.compat and not model.training
    state = model.state_dict()
    assert len(state) == 196
    assert all(torch.equal(state[key.removeprefix("module.")], value) for key, value in weights.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (100, 96)}, "multiples of 32"),
        ({"width": 30}, "not a multiple of n_heads"),
        ({"text_length": 600}, "exceeds max_text_positions"),
        ({"compat": True, "learn_mvm_scale": True}, "learn_mvm_scale needs compat false"),
        ({"widht": 5}, "did you mean width"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(SohoConfig, changes, source="model")


def test_compat_changes_the_defaults_that_it_should_and_a_given_key_wins() -> None:
    assert SohoConfig().mvm_scale == 10.0
    compat = SohoConfig(compat=True)
    assert (compat.mvm_scale, compat.dictionary_decay) == (1.0, 0.4)
    assert SohoConfig(compat=True, dictionary_decay=0.99).dictionary_decay == 0.99
    assert SohoConfig.model_validate(compat.model_dump(mode="json")) == compat


@pytest.mark.slow
@pytest.mark.parametrize(("model", "n_entries"), [("soho", 196), ("soho_vqa", 185)])
def test_a_published_file_goes_there_and_back_unchanged(model: Any, n_entries: int, tmp_path: Path) -> None:
    numbers = torch.randn(30522 * 768, generator=torch.Generator().manual_seed(0))
    weights = {
        f"module.{key}": numbers[: torch.Size(shape).numel()].view(shape)
        for key, shape in train.official_keys(model=model).items()
        if not key.endswith("num_batches_tracked") and key != WORDS_ALIAS
    }
    torch.save({"meta": {"epoch": 40}, "state_dict": weights}, tmp_path / "soho.pth")
    runner = CliRunner()
    there = runner.invoke(app, ["convert", str(tmp_path / "soho.pth"), str(tmp_path / "folder")])
    assert there.exit_code == 0, there.output
    back = runner.invoke(app, ["convert", str(tmp_path / "folder"), str(tmp_path / "back.pth")])
    assert back.exit_code == 0, back.output
    assert f"{n_entries} entries" in back.output
    written = torch.load(tmp_path / "back.pth", weights_only=True, mmap=True)["state_dict"]
    assert {key: tuple(value.shape) for key, value in written.items()} == train.official_keys(model=model)
    for key, value in weights.items():
        assert torch.equal(written[key.removeprefix("module.")], value), key
