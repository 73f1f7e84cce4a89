"""The SaT adapter, on a tiny model of the published interface: token ids in, a logit a token out."""

import json
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import UserError
from pipeline.config.text import SentenceConfig
from pipeline.text.boundary import load_model
from pipeline.text.captions.track import Track, Word
from pipeline.text.sentences import model_used, split_sentences

onnx = pytest.importorskip("onnx")
pytest.importorskip("wtpsplit_lite")

ENDING = "home"
"""The word after which the tiny model says that a sentence ends."""


def write_model(folder: Path) -> Path:
    """A model whose logit depends on the token alone, and a tokenizer that gives each word a number."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    folder.mkdir()
    tokens = ["<s>", "</s>", "<unk>", "<pad>", "<mask>", ENDING]
    tokenizer = Tokenizer(WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "xlm-token", "id2label": {"0": "end"}}))
    table = np.full((len(tokens), 1), -6, np.float16)
    table[-1] = 6
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        "tiny",
        [
            helper.make_tensor_value_info("input_ids", kinds.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("attention_mask", kinds.FLOAT16, ["batch", "length"]),
        ],
        [helper.make_tensor_value_info("logits", kinds.FLOAT16, ["batch", "length", 1])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model_optimized.onnx"))
    return folder


def unmarked(text: str) -> Track:
    words = [Word(word, i * 300, i * 300 + 250, True) for i, word in enumerate(text.split())]
    return Track(tuple(words), (), "json3", "auto", "en", False, True)


def test_sentences_end_where_the_model_says(tmp_path: Path) -> None:
    config = SentenceConfig(model="sat", weights=str(write_model(tmp_path / "tiny")))
    track = unmarked("we went home then we came home and slept")
    assert [s.text for s in split_sentences(track, config)] == ["we went home", "then we came home", "and slept"]
    assert model_used(track, config) == "tiny"


def test_probabilities_are_those_of_the_words_last_characters(tmp_path: Path) -> None:
    model = load_model("sat", str(write_model(tmp_path / "tiny")))
    words = unmarked("we went home " * 400).words
    turns = np.zeros(len(words), np.bool_)
    turns[0] = True
    found = model.probabilities(words, turns).ends
    expected = np.tile([0.0025, 0.0025, 0.9975], 400)
    assert np.abs(found[1:] - expected[1:]).max() < 0.01
    assert found[0] == 1.0
    assert model.probabilities((), turns[:0]).ends.shape == (0,)


def test_a_folder_without_the_files_or_with_spoilt_ones_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"no SaT model there \(model_optimized\.onnx, config\.json, tokenizer\.json"):
        load_model("sat", str(tmp_path / "bare"))
    folder = write_model(tmp_path / "spoilt")
    (folder / "model_optimized.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match="weights of spoilt cannot be loaded"):
        load_model("sat", str(folder))
