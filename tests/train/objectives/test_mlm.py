"""Masked words: a row whose pair does not match is masked and asks nothing."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from tests.train.model_cases import TOKENS
from train.losses import IGNORED
from train.objectives.base import Draw
from train.objectives.mlm import MlmSettings, asked, judged, loss, prepare, totals
from train.rows import Rows

IDS = torch.randint(5, 40, (6, 8), generator=torch.Generator().manual_seed(1))


def prepared(**more: torch.Tensor) -> Rows:
    rows = Rows(input_ids=IDS, **more)
    return rows.having(prepare(rows, Draw(0, 0, TOKENS), SimpleNamespace(mlm_share=0.4)))


def test_labels_say_what_was_hidden_and_only_where() -> None:
    rows = prepared()
    hidden = rows.mlm_labels != IGNORED
    assert hidden.any() and torch.equal(rows.mlm_labels[hidden], IDS[hidden])
    assert torch.equal(rows.input_ids[~hidden], IDS[~hidden])


def test_unmatched_rows_ask_nothing_and_shares_add_up() -> None:
    matches = torch.tensor([1, 0, 1, 1, 0, 1])
    rows = prepared(itm_labels=matches)
    assert (asked(rows)[matches == 0] == IGNORED).all()
    logits = torch.randn(6, 8, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def share(part: slice) -> float:
        some = rows[part]
        outputs = SimpleNamespace(mlm_logits=logits[part][some.mlm_labels != IGNORED])
        return float(loss(outputs, some, totals(rows), None))

    kept = asked(rows) != IGNORED
    by_hand = torch.nn.functional.cross_entropy(logits[kept], IDS[kept])
    assert abs(share(slice(0, 6)) - float(by_hand)) < 1e-12
    assert abs(share(slice(0, 2)) + share(slice(2, 6)) - float(by_hand)) < 1e-12


def test_a_word_is_judged_by_the_likeliest_and_only_where_the_pair_matches() -> None:
    rows = prepared(itm_labels=torch.tensor([1, 0, 1, 1, 0, 1]))
    masked = rows.mlm_labels != IGNORED
    logits = torch.nn.functional.one_hot(rows.mlm_labels[masked], 40).float()
    logits[0] = logits[0].roll(1)  # the first masked word is of row 0, which matches

    right = judged(SimpleNamespace(mlm_logits=logits), rows)

    n_asked = int((asked(rows) != IGNORED).sum())
    assert (int(right.sum()), len(right)) == (n_asked - 1, n_asked)


def test_a_share_lies_between_0_and_1() -> None:
    for share in (0.01, 0.15, 0.99):
        assert MlmSettings.model_validate({"mlm_share": share}).mlm_share == share
    for wrong in (0.0, 1.0, -0.1):
        with pytest.raises(ValidationError):
            MlmSettings.model_validate({"mlm_share": wrong})
