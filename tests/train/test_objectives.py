"""Which texts are put together with which pictures, and that it changes nothing else."""

import torch

from tests.train.matrix import Case, config_of, plain_rows
from tests.train.model_cases import TOKENS, small_model
from tests.train.objective_rows import ALL, CONFIG
from train.objectives import Draw, prepare
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
