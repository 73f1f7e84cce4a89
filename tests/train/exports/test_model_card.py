"""The card of an exported model: its numbers, its scores beside chance, and whose licence it has."""

import yaml

from tests.train.model_cases import small_model
from train.exports.export_folder import Origin
from train.exports.model_card import NO_TOKENIZER, OFFICIAL_LICENCE, OWN_LICENCE, model_card

SCORES = {"n_clips": 50.0, "t2v_r1": 0.25, "t2v_chance_r1": 0.02, "v2t_r1": 0.2}


def test_numbers_scores_and_front_matter_are_those_of_the_model() -> None:
    model = small_model()
    card = model_card(model, Origin("a run", stride=6, fps=12.5, step=77, scores=SCORES), has_tokenizer=True)

    assert yaml.safe_load(card.split("---")[1])["library_name"] == "hdvila"
    assert "6 frames at 12.5/s apart" in card and "| optimiser steps | 77 |" in card
    assert "| text to video | 25.0% (2.0%) |" in card and "50 clips" in card
    assert OWN_LICENCE in card and NO_TOKENIZER not in card


def test_a_published_models_licence_goes_with_it() -> None:
    card = model_card(small_model(), Origin("a file", official=True), has_tokenizer=False)
    assert OFFICIAL_LICENCE in card and OWN_LICENCE not in card and NO_TOKENIZER in card
    assert "12 source frames apart" in card and "## Retrieval" not in card
