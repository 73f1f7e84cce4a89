"""Which texts are put together with which pictures, and that it changes nothing else."""

from types import SimpleNamespace

import torch

from tests.train.matrix import Case, config_of, plain_rows
from tests.train.model_cases import TOKENS, small_model
from tests.train.objective_rows import ALL, CONFIG
from train.objectives import Draw, itm, prepare
from train.rows import Rows


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
