"""An exported model is a folder that other tools read, whole or not there at all, and it embeds as the model did."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

import train
from hdvila_testing.drawn_set import a_tree
from manifests.errors import UserError
from manifests.settings import parse_config
from tests.train.image_text_runs import MODELS, run
from tests.train.model_cases import small_batch, small_config, small_model
from train.cli import app
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.exports.export import NO_TOKENIZER, OFFICIAL_LICENCE, OWN_LICENCE, export, model_card, write_official
from train.exports.export_folder import (
    CONFIG,
    FORMAT,
    Origin,
    read_config,
    refuse_existing_file,
    save_official,
    whole_folder,
)
from train.feed.tokenizer import Tokenizer, tokenizer_from_captions
from train.loop.finished_run import open_run
from train.loop.fit import StopRequest, fit
from train.models import HDVila, build_model

SCORES = {"t2v_r1": 0.5, "t2v_r5": 0.75, "t2v_chance_r1": 0.02, "v2t_r1": 0.25, "n_clips": 40}
FILES = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
MODULES = ("bert", "hybrid", "modeling_hdvila", "multimodal", "resnet", "temperature", "timesformer", "towers")
CODE = [f"{name}.py" for name in MODULES]


def a_model(**changes: Any) -> HDVila:
    return build_model(small_config(**changes), seed=3).eval()


def a_tokenizer() -> Tokenizer:
    return tokenizer_from_captions(["a red square moves", "a blue bar"], vocab_size=40, seed=0)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_loaded_export_embeds_as_the_model_did(tmp_path: Path, stage: int) -> None:
    model = a_model(stage=stage, learn_temperature=True)
    export(model, a_tokenizer(), tmp_path / "out", Origin("a test", stride=5))
    loaded = train.load(tmp_path / "out")
    batch = small_batch(small_config(), 2)
    inputs = (batch.img_middle, batch.img_other, batch.input_ids, batch.attention_mask)
    with torch.no_grad():
        for found, wanted in zip(loaded.model.embed(*inputs), model.embed(*inputs), strict=True):
            assert torch.equal(found, wanted)
    assert loaded.views.stride == 5
    assert all(torch.equal(loaded.model.state_dict()[key], value) for key, value in model.state_dict().items())


def test_the_folder_holds_what_people_expect(tmp_path: Path) -> None:
    export(a_model(stage=2), a_tokenizer(), tmp_path / "out", Origin("a test", step=7, scores=SCORES))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES + CODE)
    with safe_open(tmp_path / "out" / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert "transformer.bert.embeddings.word_embeddings.weight" in file.keys()  # noqa: SIM118
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["architectures"], config["step"]) == ("hd_vila", ["HDVila"], 7)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: hdvila")
    assert "| text to video | 50.0% (2.0%) | 75.0% (0.0%) |" in card
    assert "train.load(" in card and "random, seed 3" in card


@pytest.mark.foreign
def test_transformers_reads_the_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = a_tokenizer()
    export(a_model(), tokenizer, tmp_path / "out", Origin("a test"))
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = ["a red bar", "blue unseen"]
    wanted = theirs(texts, padding="max_length", truncation=True, max_length=8)["input_ids"]
    assert tokenizer.encode(texts, 8)[0].tolist() == wanted


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        export(a_model(), None, tmp_path / "out", Origin("a test"))
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["thesis.txt"]


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    class Full(Tokenizer):
        def save(self, folder: Path) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export(a_model(), Full(a_tokenizer()._fast, {"pad_token": "[PAD]"}), tmp_path / "out", Origin("a test"))
    assert list(tmp_path.iterdir()) == []


def test_a_tiny_model_is_no_official_checkpoint_and_the_message_says_so(tmp_path: Path) -> None:
    export(a_model(), None, tmp_path / "out", Origin("a test"))
    with pytest.raises(UserError, match=r"only the published size .* this is `tiny`"):
        write_official(tmp_path / "out", tmp_path / "official.bin")
    assert not (tmp_path / "official.bin").exists()


def test_the_same_weights_are_the_same_published_file(tmp_path: Path) -> None:
    for name in ("one.bin", "other.bin"):
        assert save_official({"x": torch.ones(2, dtype=torch.float16)}, tmp_path / name) == 1
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "other.bin").read_bytes()
    assert torch.load(tmp_path / "one.bin")["x"].dtype == torch.float32


def test_a_run_is_exported_by_the_command_and_used(drawn: Path, tmp_path: Path) -> None:
    tree = a_tree(drawn, tmp_path / "run", loop={"steps": 1})
    fit(parse_config(TrainConfig, tree, source="test"), process_from_environment("cpu"), StopRequest())
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    model = train.load(tmp_path / "out")
    assert f'train.load("{tmp_path / "out"}").embed_text([' in done.output
    text = model.embed_text(["a red square moves right", "a blue bar moves left"])
    assert text.shape == (2, model.model.config.width)
    assert torch.allclose(text.norm(dim=1), torch.ones(2), atol=1e-6)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Retrieval on the val split" in card and "training, seed" in card


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path), str(tmp_path / "out")])
    assert isinstance(done.exception, UserError)
    assert "holds no checkpoint" in str(done.exception)


CARD_SCORES = {"n_clips": 50.0, "t2v_r1": 0.25, "t2v_chance_r1": 0.02, "v2t_r1": 0.2}


def test_numbers_scores_and_front_matter_are_those_of_the_model() -> None:
    model = small_model()
    card = model_card(model, Origin("a run", stride=6, fps=12.5, step=77, scores=CARD_SCORES), has_tokenizer=True)

    front = ModelCard(card).data
    assert (front.library_name, front.pipeline_tag) == ("hdvila", "feature-extraction")
    assert "6 frames at 12.5/s apart" in card and "| optimiser steps | 77 |" in card
    assert "| text to video | 25.0% (2.0%) |" in card and "50 clips" in card
    assert OWN_LICENCE in card and NO_TOKENIZER not in card


def test_a_published_models_licence_goes_with_it() -> None:
    card = model_card(small_model(), Origin("a file", official=True), has_tokenizer=False)
    assert OFFICIAL_LICENCE in card and OWN_LICENCE not in card and NO_TOKENIZER in card
    assert "12 source frames apart" in card and "## Retrieval" not in card


def test_a_folder_appears_whole_and_nothing_is_left_of_a_failed_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "a" / "out") as part:
        (part / "file").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert (tmp_path / "a" / "out" / "file").read_text() == "x"

    with pytest.raises(RuntimeError), whole_folder(tmp_path / "b"):
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(UserError, match="isn't an empty folder"), whole_folder(tmp_path / "full"):
        pass
    with pytest.raises(UserError, match="exists already"):
        refuse_existing_file(tmp_path / "full" / "mine")
    with pytest.raises(UserError, match="no such folder"):
        refuse_existing_file(tmp_path / "nowhere" / "x")


def test_a_config_of_another_format_or_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an exported model"):
        read_config(tmp_path)
    for text, words in [("[]", "cannot be read"), ("{", "cannot be read"), ('{"hdvila_format": 99}', "format 99")]:
        (tmp_path / CONFIG).write_text(text)
        with pytest.raises(UserError, match=words):
            read_config(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({"hdvila_format": FORMAT, "a": 1}))
    assert read_config(tmp_path)["a"] == 1


@pytest.mark.parametrize("kind", MODELS)
def test_a_run_is_exported_and_another_starts_from_it(kind: str, drawn: Path, tmp_path: Path) -> None:
    run(kind, drawn, tmp_path / "run", loop={"steps": 1})
    exported = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "export")])
    assert exported.exit_code == 0, exported.output
    assert f"--set model.model_weights={tmp_path / 'export'}\n" in exported.output and "embed" not in exported.output
    with pytest.raises(UserError, match=f"a model of kind {kind}, which has no embeddings to compare by"):
        train.load(tmp_path / "export")
    theirs = open_run(tmp_path / "run", process_from_environment("cpu")).model.state_dict()
    weights = load_file(tmp_path / "export/model.safetensors")
    assert weights and all(torch.equal(value, theirs[key]) for key, value in weights.items())
    run(kind, drawn, tmp_path / "next", loop={"steps": 1}, model={"model_weights": str(tmp_path / "export")})
