"""Which texts are put together with which pictures, and that it changes nothing else."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.matrix import Case, config_of, plain_rows
from tests.train.model_cases import TOKENS, small_model
from train.batches import caption_ids
from train.objectives import Draw, itm, mfr, prepare
from train.objectives.base import PURPOSES
from train.rows import Rows

ALL = (("contrastive", 1.0), ("mlm", 1.0), ("itm", 1.0))
CONFIG = config_of(Case("none", 2, False, ALL))


@dataclass(frozen=True, slots=True)
class OneOf(Draw):
    """A rank of several without processes: it knows the whole batch."""

    whole: Rows | None = None
    rank: int = 0

    def position(self, batch: Rows, row: int) -> int:
        return self.rank * len(batch) + row

    def everyone(self, x: torch.Tensor) -> torch.Tensor:
        assert self.whole is not None
        known = [v for v in self.whole.tensors().values() if len(v) and v.shape[1:] == x.shape[1:]]
        start = self.position(x, 0)  # type: ignore[arg-type]
        return next(v for v in known if torch.equal(v[start : start + len(x)], x))


def groups(video: list[int], text: list[int]) -> Rows:
    return Rows(video_ids=torch.tensor(video), caption_ids=torch.tensor(text))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=24), st.integers(0, 999))
def test_a_partner_is_of_another_video_and_has_another_text(rows: list[tuple[int, int]], step: int) -> None:
    video, text = (list(x) for x in zip(*rows, strict=True))
    draw = Draw(7, step, TOKENS)
    found = itm.partners(groups(video, text), draw).tolist()
    without = 0
    for row, partner in enumerate(found):
        others = [i for i in range(len(rows)) if video[i] != video[row] and text[i] != text[row]]
        assert partner == row or partner in others
        without += not others
    assert draw.counts["itm_without_partner"] <= without


def test_about_half_of_the_rows_get_one_from_anywhere_in_the_batch() -> None:
    n = 200
    found = torch.stack([itm.partners(groups(list(range(n)), list(range(n))), Draw(0, s, TOKENS)) for s in range(10)])
    swapped = found != torch.arange(n)
    assert float(swapped.float().mean()) == pytest.approx(0.5, abs=0.04)
    assert len(found[swapped].unique()) > 190
    distance = (found - torch.arange(n))[swapped].abs().float().mean()
    assert float(distance) > 40, "a neighbour is as likely as any other"


def test_a_batch_of_one_caption_keeps_its_pairs_and_says_how_many_it_would_have_parted() -> None:
    draw = Draw(0, 3, TOKENS)
    found = itm.partners(groups(list(range(40)), [5] * 40), draw)
    assert torch.equal(found, torch.arange(40))
    assert 8 < draw.counts["itm_without_partner"] < 32


def test_captions_are_compared_without_case_and_spacing() -> None:
    texts = ["A red  car", "a red car", "a red cat"]
    same, also, other = caption_ids(texts)
    assert same == also != other


@pytest.mark.parametrize("world", [2, 4])
def test_any_world_size_draws_the_same_pairs_and_masks(world: int) -> None:
    rows = plain_rows(CONFIG)
    whole = prepare(rows, Draw(0, 5, TOKENS), CONFIG.objective)
    n = len(rows) // world
    known = rows.having({"input_ids": whole.input_ids})
    for rank in range(world):
        own = rows[rank * n : (rank + 1) * n]
        draw = OneOf(0, 5, TOKENS, whole=known, rank=rank)
        found = prepare(own, draw, CONFIG.objective)
        for name in ("input_ids", "mlm_labels", "pair_ids", "pair_mask", "itm_labels"):
            assert torch.equal(found[name], whole[name][rank * n : (rank + 1) * n]), name


def test_matching_leaves_the_embeddings_of_each_pair_as_they_are() -> None:
    model = small_model(stage=2, itm=True)
    plain = prepare(plain_rows(CONFIG), Draw(0, 0, TOKENS), config_of(Case("none", 2, False, ALL[:2])).objective)
    paired = prepare(plain_rows(CONFIG), Draw(0, 0, TOKENS), CONFIG.objective)
    assert not bool(paired.itm_labels.all()), "some rows must have been parted"

    one, other = model(plain), model(paired)

    assert torch.equal(one.video, other.video)
    assert torch.equal(one.text, other.text)


def test_a_parted_row_reads_its_partners_words_hidden_ones_included_and_asks_none() -> None:
    rows = prepare(plain_rows(CONFIG), Draw(0, 0, TOKENS), CONFIG.objective)
    for row in range(len(rows)):
        texts = [i for i in range(len(rows)) if torch.equal(rows.pair_ids[row], rows.input_ids[i])]
        assert (row in texts) == bool(rows.itm_labels[row])
        assert texts
    model = small_model(stage=2, itm=True)
    logits = model(rows).itm_logits
    for row in (rows.itm_labels == 0).nonzero().flatten().tolist():
        there = {"input_ids": rows.pair_ids[row : row + 1], "attention_mask": rows.pair_mask[row : row + 1]}
        alone = Rows({k: v[row : row + 1] for k, v in rows.tensors().items() if not k.startswith("pair")}).having(there)
        assert torch.allclose(model(alone).itm_logits[0], logits[row], atol=1e-9)


def test_the_share_of_some_rows_is_their_part_of_the_mean_over_all() -> None:
    rows = prepare(plain_rows(CONFIG), Draw(0, 0, TOKENS), CONFIG.objective)
    logits = torch.randn(len(rows), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = torch.nn.functional.cross_entropy(logits, rows.itm_labels)

    shares = [
        itm.loss(SimpleNamespace(itm_logits=logits[part]), rows[part], len(rows), CONFIG.objective)
        for part in (slice(0, 3), slice(3, len(rows)))
    ]

    assert torch.allclose(shares[0] + shares[1], whole, atol=1e-12)


def test_no_two_objectives_draw_the_same_numbers() -> None:
    assert len(set(PURPOSES.values())) == len(PURPOSES)


def test_the_shares_of_ranks_with_masked_frames_average_to_the_mean_over_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ranks with unlike numbers of rows that were asked for."""
    errors = [torch.tensor([3.0, 0.0]), torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0])]
    monkeypatch.setattr(mfr, "world_size", lambda: len(errors))
    monkeypatch.setattr(mfr, "mean_over_ranks", lambda share: share)
    shares = [float(mfr.loss(SimpleNamespace(mfr_error=e), None, torch.tensor(3), None)) for e in errors]
    assert sum(shares) / len(shares) == pytest.approx((3 + 1 + 5) / 3)
