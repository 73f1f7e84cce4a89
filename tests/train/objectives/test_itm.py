"""Matching: partners of other videos with other texts, for about half of the rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.model_cases import TOKENS
from train.objectives import Draw, itm
from train.rows import Rows


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
