"""Both towers as ONNX, run by onnxruntime."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer

from manifests.errors import UserError
from tests.train.exports.test_export import a_model, a_tokenizer
from tests.train.model_cases import small_batch, small_config
from train.evaluation.encoder import Encoder
from train.exports.export import export
from train.exports.export_folder import Origin


@pytest.mark.foreign
@pytest.mark.slow
def test_onnxruntime_embeds_as_the_model_does_at_any_batch(tmp_path: Path) -> None:
    model = a_model(learn_temperature=True, n_space_time_blocks=1)
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
    said = ["a red car drives off", "music " * 99]
    words = Tokenizer.from_file(str(tmp_path / "out" / "text.tokenizer.json")).encode_batch(said)
    inputs = {
        "input_ids": np.array([w.ids for w in words]),
        "attention_mask": np.array([w.attention_mask for w in words]),
    }
    (found,) = towers["text"].run(["text_embeds"], inputs)
    np.testing.assert_allclose(found, Encoder(model, a_tokenizer()).embed_text(said).numpy(), atol=1e-4)
    card = (tmp_path / "out" / "README.md").read_text()
    for tower in towers.values():
        for each in tower.get_inputs():
            shape = ", ".join(map(str, each.shape[1:]))
            assert re.search(rf"`{each.name}` \| u?int(8|64) \[n, {shape}\]", card), f"{each.name} {shape}"


def test_a_model_that_answers_has_no_towers_to_write(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers questions has none"):
        export(a_model(stage=2, n_answers=3), None, tmp_path / "out", Origin("a test"), onnx=True)
    assert list(tmp_path.iterdir()) == []
