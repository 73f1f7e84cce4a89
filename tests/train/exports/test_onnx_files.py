"""Both towers as ONNX, run by onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from manifests.errors import UserError
from tests.train.exports.test_export import a_model, a_tokenizer
from tests.train.model_cases import small_batch, small_config
from train.exports.export import export
from train.exports.export_folder import Origin


@pytest.mark.foreign
@pytest.mark.slow
def test_onnxruntime_embeds_as_the_model_does_at_any_batch(tmp_path: Path) -> None:
    model = a_model(learn_temperature=True)
    export(model, a_tokenizer(), tmp_path / "out", Origin("a test"), onnx=True)
    towers = {name: onnxruntime.InferenceSession(tmp_path / "out" / f"{name}.onnx") for name in ("video", "text")}
    for n_clips in (1, 5):
        batch = small_batch(small_config(), n_clips, seed=n_clips)
        with torch.no_grad():
            video, text = model.embed(batch.img_middle, batch.img_other, batch.input_ids, batch.attention_mask)
        for tower, wanted in (("video", video), ("text", text)):
            inputs = {each.name: batch[each.name].numpy() for each in towers[tower].get_inputs()}
            (found,) = towers[tower].run([f"{tower}_embeds"], inputs)
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_a_model_that_answers_has_no_towers_to_write(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers questions has none"):
        export(a_model(stage=2, n_answers=3), None, tmp_path / "out", Origin("a test"), onnx=True)
    assert list(tmp_path.iterdir()) == []
