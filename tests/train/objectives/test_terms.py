"""Each term of the loss: what it asks, what its shares add up to."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.train.model_cases import TOKENS
from train.losses import contrastive_loss
from train.objectives import Draw, answers, contrastive, distill, itm, mfr
from train.objectives.answers import AnswersSettings, totals
from train.objectives.contrastive import CONTRASTIVE
from train.rows import Rows

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
TARGETS = torch.tensor([[1.0, 0.3, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)


def of(kind: str, rows: slice = slice(None)) -> float:
    batch = Rows(targets=TARGETS[rows])
    n_rows = totals(Rows(targets=TARGETS))
    return float(
        answers.loss(SimpleNamespace(answer_logits=LOGITS[rows]), batch, n_rows, SimpleNamespace(answers_kind=kind))
    )


def test_scores_are_summed_over_answers_and_one_is_a_softmax() -> None:
    by_hand = -(TARGETS * LOGITS.sigmoid().log() + (1 - TARGETS) * (1 - LOGITS.sigmoid()).log()).sum(1).mean()
    assert of("scores") == pytest.approx(float(by_hand))
    hard = F.cross_entropy(LOGITS[1:], torch.tensor([2, 1]), reduction="sum") / 3
    assert of("one", slice(1, 3)) == pytest.approx(float(hard))


@pytest.mark.parametrize("kind", ["scores", "one"])
def test_logits_in_half_precision_are_counted_in_single(kind: str) -> None:
    """256 answers: a sum of them in bfloat16 would be off by a percent."""
    logits = torch.randn(2, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.rand(2, 256, generator=torch.Generator().manual_seed(1))

    def loss_of(x: torch.Tensor) -> float:
        config = SimpleNamespace(answers_kind=kind)
        return float(answers.loss(SimpleNamespace(answer_logits=x), Rows(targets=targets), 2, config))

    assert loss_of(logits) == pytest.approx(loss_of(logits.double()), rel=1e-5)


def test_answers_are_scored_each_for_itself_unless_one_is_asked_for() -> None:
    assert AnswersSettings().answers_kind == "scores"


def test_the_setting_decides_about_equal_captions() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = (torch.nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=1) for _ in range(2))
    outputs = SimpleNamespace(video=video, text=text, logit_scale=torch.tensor([10.0]), logit_bias=torch.zeros(1))
    rows = Rows(caption_ids=torch.tensor([1, 2, 1, 3]))

    def of(same_caption: str) -> torch.Tensor:
        return contrastive.loss(outputs, rows, None, SimpleNamespace(kind="infonce", same_caption=same_caption))

    assert torch.equal(of("negative"), contrastive_loss(video, text, outputs.logit_scale))
    assert of("ignored") < of("negative")
    assert CONTRASTIVE.spans is not None, "it is computed over the global batch"


def test_the_loss_is_zero_for_equal_similarities_and_falls_towards_them() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    turn = torch.linalg.qr(torch.randn(12, 8, generator=generator))[0]
    rows = Rows(teacher_video=video @ turn.T, teacher_text=text @ turn.T)
    settings = SimpleNamespace(distill_temperature=0.1)

    def of(own: torch.Tensor) -> torch.Tensor:
        scale, bias = torch.tensor([10.0]), torch.zeros(1)
        return distill.loss(
            SimpleNamespace(video=own, text=text, logit_scale=scale, logit_bias=bias), rows, None, settings
        )

    assert of(video).abs() < 1e-6
    own = torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1).requires_grad_()
    values = []
    for _ in range(3):
        value = of(own)
        (gradient,) = torch.autograd.grad(value, own)
        own = (own - 0.3 * gradient).detach().requires_grad_()
        values.append(float(value))
    assert values[0] > values[1] > values[2] > 0


def test_rows_whose_sentence_is_anothers_are_not_asked_and_none_asked_is_no_loss() -> None:
    rows = Rows(input_ids=torch.zeros(3, 1))

    assert int(mfr.totals(rows)) == 3
    assert int(mfr.totals(rows.having({"itm_labels": torch.tensor([1, 0, 1])}))) == 2
    assert float(mfr.loss(SimpleNamespace(mfr_error=torch.tensor([4.0, 0.0])), None, torch.tensor(1), None)) == 4
    assert float(mfr.loss(SimpleNamespace(mfr_error=torch.zeros(2)), None, torch.tensor(0), None)) == 0


def test_each_row_draws_a_token_of_its_own_and_another_at_each_step() -> None:
    rows = Rows(input_ids=torch.zeros(50, 1))

    first, again, next_step = (mfr.prepare(rows, Draw(0, step, TOKENS), None)["mfr_draws"] for step in (3, 3, 4))

    assert torch.equal(first, again) and not torch.equal(first, next_step)
    assert len(first.unique()) == 50 and 0 <= float(first.min()) < 0.2 and 0.8 < float(first.max()) < 1


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


def test_a_row_that_keeps_its_text_is_labelled_a_match_and_a_parted_one_reads_anothers() -> None:
    n = 40
    rows = groups(list(range(n)), list(range(n))).having(
        {"input_ids": torch.arange(n)[:, None], "attention_mask": torch.arange(n)[:, None]}
    )
    found = itm.prepare(rows, Draw(0, 0, TOKENS), None)
    own = found["pair_ids"][:, 0] == torch.arange(n)

    assert found["itm_labels"].tolist() == own.long().tolist()
    assert torch.equal(found["pair_ids"], found["pair_mask"])
    assert 5 < int(own.sum()) < 35
