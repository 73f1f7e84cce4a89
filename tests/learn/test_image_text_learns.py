"""SOHO and Visual Parsing learn on drawn pictures: in one short run each, matching is far from chance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.learning.image_text import draw_curves, make_set, one_run, table_of

pytestmark = [pytest.mark.slow, pytest.mark.learn, pytest.mark.timeout(2400)]

STEPS = {"visual_parsing": 600, "soho": 600}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("image_text"))


@pytest.mark.parametrize("kind", STEPS)
def test_held_out_pictures_are_matched_with_their_sentences(kind, manifest, tmp_path):
    torch.set_num_threads(1)
    found = one_run(kind, 0, tmp_path, manifest, STEPS[kind])

    assert found["n_pairs"] >= 256
    assert found["itm_accuracy"] >= 0.7, found
    assert found["text_to_image_r1"] > 2 * found["chance_r1"], found
    if kind == "soho":
        assert found["mvm_loss"] < found["mvm_entropy"] and found["mvm_entries"] >= 10, found
    else:
        assert found["mfr_error"] < 0.8 * found["mfr_variance"], found
        variances = [r["mfr_target_variance"] for r in found["readings"]]
        assert variances[-1] > 0.5 * variances[0], variances
    assert kind in table_of([found])
    draw_curves([found], tmp_path)
    assert (tmp_path / "flow.png").stat().st_size > 1000
