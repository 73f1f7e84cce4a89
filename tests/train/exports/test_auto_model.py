"""An exported folder in the hands of people who have torch and transformers, but not this package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.exports.test_export import a_model, a_tokenizer
from tests.train.model_cases import small_batch, small_config
from train.exports.export import export
from train.exports.export_folder import Origin

pytestmark = [pytest.mark.foreign, pytest.mark.slow]

LOAD = """
import sys
sys.modules.update(train=None, manifests=None)  # whoever imports them fails
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

inputs = load_file(sys.argv[1])
for folder in sys.argv[2:]:
    model, told = AutoModel.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not any(told.values()), told
    model.save_pretrained(folder + "-again")
    for each in (folder, folder + "-again"):
        with torch.no_grad():
            found = AutoModel.from_pretrained(each, trust_remote_code=True).eval()(**inputs)
        save_file(dict(found), each + ".safetensors")
    text = AutoTokenizer.from_pretrained(folder)(["a red bar"], return_tensors="pt")
    assert model(**text).text_embeds.shape == (1, 16) and model(**text).video_embeds is None
"""


def test_automodel_embeds_as_the_model_did_without_this_package(tmp_path: Path) -> None:
    batch = small_batch(small_config(), 2)
    inputs = {name: batch[name] for name in ("img_middle", "img_other", "input_ids", "attention_mask")}
    save_file(inputs, tmp_path / "inputs")
    models = {
        "stage1": a_model(learn_temperature=True),
        "stage2": a_model(stage=2, itm=True, trunk_norm="group", high=(128, 192)),
    }
    for name, model in models.items():
        export(model, a_tokenizer(), tmp_path / name, Origin("a test", scores={"t2v_r1": 0.5}))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-P", "-c", LOAD, str(tmp_path / "inputs"), *(str(tmp_path / name) for name in models)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, model in models.items():
        with torch.no_grad():
            video, text = model.embed(*inputs.values())
        for each in (name, f"{name}-again"):
            found = load_file(tmp_path / f"{each}.safetensors")
            assert torch.allclose(found["video_embeds"], video, atol=1e-5)
            assert torch.allclose(found["text_embeds"], text, atol=1e-5)
