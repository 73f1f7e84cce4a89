"""An exported folder in the hands of people who have torch and transformers, but not this package."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.train.exports.test_export import a_model, a_tokenizer
from tests.train.model_cases import small_batch, small_config
from train.exports.carried_code import MODELING, write_code
from train.exports.export import export
from train.exports.export_folder import Origin
from train.models.towers import Towers

LOAD = """
import sys
sys.modules.update(train=None, manifests=None)  # whoever imports them fails
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

inputs, folder = load_file(sys.argv[1]), sys.argv[2]
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


@pytest.mark.foreign
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"learn_temperature": True}, marks=pytest.mark.long),
        {"stage": 2, "itm": True, "high": (128, 192), "n_space_time_blocks": 1},
        pytest.param({"trunk_norm": "group"}, marks=pytest.mark.long),
    ],
    ids=["stage 1", "stage 2", "other norms"],
)
def test_automodel_embeds_as_the_model_did_without_this_package(tmp_path: Path, changes: dict[str, Any]) -> None:
    batch, model = small_batch(small_config(), 2), a_model(**changes)
    inputs = {name: batch[name] for name in ("img_middle", "img_other", "input_ids", "attention_mask")}
    save_file(inputs, tmp_path / "inputs")
    export(model, a_tokenizer(), tmp_path / "given", Origin("a test", scores={"t2v_r1": 0.5}))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-P", "-c", LOAD, str(tmp_path / "inputs"), str(tmp_path / "given")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    with torch.no_grad():
        video, text = model.embed(*inputs.values())
    for each in ("given", "given-again"):
        found = load_file(tmp_path / f"{each}.safetensors")
        assert torch.allclose(found["video_embeds"], video, atol=1e-5)
        assert torch.allclose(found["text_embeds"], text, atol=1e-5)


def test_the_sources_import_each_other_torch_and_transformers_alone(tmp_path: Path) -> None:
    write_code(Towers, tmp_path)
    names = {path.stem for path in tmp_path.iterdir()}
    assert {MODELING, "towers", "hybrid", "resnet", "bert"} <= names
    outside = set()
    for path in tmp_path.iterdir():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module in names
            elif isinstance(node, ast.ImportFrom | ast.Import):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                outside |= {module.partition(".")[0] for module in modules}
    assert outside - sys.stdlib_module_names == {"torch", "transformers"}
