"""Initial weights and their vocabulary come from one source, and are the same on every rank."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hdvila_testing.drawn_set import MICRO_MODEL, a_tree
from manifests.errors import UserError
from manifests.settings import load_config, parse_config
from tests.train.torchrun import run_on_ranks
from train.commands.init import STARTS
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.feed.tokenizer import load_tokenizer, tokenizer_from_captions
from train.loop.fit import StopRequest, fit
from train.models import ModelConfig, build_model

WORDS = ["a red square moves left", "a green circle moves up", "a cat that no caption here has"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Hugging Face has them: weights and vocabulary."""
    folder = tmp_path_factory.mktemp("bert")
    donor = build_model(ModelConfig(**MICRO_MODEL), seed=9).transformer.state_dict()
    torch.save({k: v for k, v in donor.items() if k.startswith("bert.e")}, folder / "pytorch_model.bin")
    tokenizer_from_captions(WORDS, vocab_size=100, seed=0).save(folder)
    return folder


def run(drawn: Path, out: Path, **sections: Any) -> None:
    tree = a_tree(drawn, out, loop={"steps": 1}, **sections)
    fit(parse_config(TrainConfig, tree, source="test"), process_from_environment("cpu"), StopRequest())


def test_the_vocabulary_is_that_of_the_weights(drawn: Path, bert: Path, tmp_path: Path) -> None:
    run(drawn, tmp_path / "run", model={"bert_weights": str(bert)})
    assert load_tokenizer(tmp_path / "run" / "tokenizer").pieces() == load_tokenizer(bert).pieces()


def test_weights_without_a_vocabulary_are_not_given_one_made_of_captions(
    drawn: Path, bert: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.bin"
    alone.write_bytes((bert / "pytorch_model.bin").read_bytes())
    with pytest.raises(UserError, match=r"alone\.bin: the initial weights know words by their numbers"):
        run(drawn, tmp_path / "run", model={"bert_weights": str(alone)})
    run(drawn, tmp_path / "run", model={"bert_weights": str(alone)}, data={"tokenizer": str(bert)})


def test_another_vocabulary_than_the_weights_is_refused(drawn: Path, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tokenizer_from_captions(["other words"], vocab_size=60, seed=0).save(tmp_path / "other")
    with pytest.raises(UserError, match="another vocabulary than that of the initial weights"):
        run(drawn, tmp_path / "run", model={"bert_weights": str(bert)}, data={"tokenizer": str(tmp_path / "other")})


def test_fine_tuning_takes_the_vocabulary_of_the_whole_model(drawn: Path, bert: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    torch.save(build_model(ModelConfig(**MICRO_MODEL), seed=3).state_dict(), whole / "pytorch_model.bin")
    (whole / "vocab.txt").write_text((bert / "vocab.txt").read_text())
    run(drawn, tmp_path / "run", model={"model_weights": str(whole)})
    assert load_tokenizer(tmp_path / "run" / "tokenizer").pieces() == load_tokenizer(bert).pieces()


def test_the_published_recipe_takes_both_from_berts_name() -> None:
    config = load_config(TrainConfig, STARTS["hd_vila"])
    assert config.model.words_from() == "bert-large-uncased"
    assert config.data.tokenizer == ""


def test_a_run_that_goes_on_asks_for_no_source_again(drawn: Path, bert: Path, tmp_path: Path) -> None:
    there = tmp_path / "bert"
    there.mkdir()
    for file in bert.iterdir():
        (there / file.name).write_bytes(file.read_bytes())
    tree = a_tree(drawn, tmp_path / "run", model={"bert_weights": str(there)}, checkpoint={"every": 1})
    config = parse_config(TrainConfig, tree, source="test")

    class Now(StopRequest):
        def is_due(self) -> bool:
            return True

    assert fit(config, process_from_environment("cpu"), Now()).step == 1
    for file in there.iterdir():
        file.unlink()
    assert fit(config, process_from_environment("cpu"), StopRequest()).status == "finished"


SCRIPT = """
import os, sys
import torch, torch.distributed as dist
from tests.train.model_cases import small_config
from train.distributed import process_from_environment, process_group
from train.config import TrainConfig
from train.loop.fit import first_model
from train.models import hd_vila_kind
from manifests.errors import UserError

process = process_from_environment("cpu")
if not process.is_first:
    def unreadable(path):
        raise AssertionError("only the first rank reads sources")
    hd_vila_kind.load_file = unreadable
with process_group(process):
    def config(source):
        model = small_config(trunk_weights=source).model_dump(mode="json")
        return TrainConfig.model_validate({"data": {"manifest": "m"}, "loop": {"steps": 1}, "model": model})
    model = first_model(config(sys.argv[1]), process, resuming=False)
    sums = [float(x.double().abs().sum()) for x in model.state_dict().values()]
    everyone = [None] * process.world
    dist.all_gather_object(everyone, sums)
    assert all(other == sums for other in everyone)
    assert bool((model.cnn.conv1.weight == 0.5).all())
    try:
        first_model(config(sys.argv[1] + ".absent"), process, resuming=False)
    except UserError as error:
        print("RANK", process.rank, error, flush=True)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
def test_the_first_rank_reads_and_the_others_get_its_tensors_or_its_error(tmp_path: Path) -> None:
    from tests.train.model_cases import small_model

    trunk = {key: torch.full_like(value, 0.5) for key, value in small_model().float().cnn.state_dict().items()}
    torch.save(trunk, tmp_path / "trunk.pt")
    (tmp_path / "script.py").write_text(SCRIPT)
    said = run_on_ranks(2, str(tmp_path / "script.py"), str(tmp_path / "trunk.pt"), log=tmp_path / "log")
    for rank in (0, 1):
        assert f"RANK {rank} {tmp_path}/trunk.pt.absent: no such weights file" in said
