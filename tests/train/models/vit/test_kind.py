"""A vit from folders of towers: trained, gone on with, on ranks, scored, exported, and read by others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import train
from hdvila_testing.drawn_set import a_tree
from manifests.errors import ConfigError, UserError
from manifests.settings import parse_config
from tests.train.models.vit import published_towers as made
from tests.train.models.vit.published_towers import pixels, token_ids
from tests.train.torchrun import run_on_ranks
from train.cli import app
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.exports.inference import load_checkpoint
from train.feed.tokenizer import load_tokenizer
from train.loop.checkpoint import checkpoints
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics
from train.models.vit.configs import VitConfig
from train.models.vit.folders import read_towers
from train.models.vit.kind import build_vit

FRAMES = {"n_frames": 3, "n_time_blocks": 1}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP as transformers saves it, with its tokenizer."""
    folder = tmp_path_factory.mktemp("clip")
    made.hf_clip(folder)
    made.clip_tokenizer(folder)
    return folder


def tree(drawn: Path, out: Path, towers: Path, **sections: Any) -> dict[str, Any]:
    """A short run of the towers in a folder."""
    found = a_tree(drawn, out, **{"loop": {"steps": 4, "batch": 4}, **sections})
    model = {"kind": "vit", "image_weights": str(towers), "text_weights": str(towers), **FRAMES}
    return {**found, "model": {**model, **sections.get("model", {})}}


def run(drawn: Path, out: Path, towers: Path, **sections: Any) -> Path:
    config = parse_config(TrainConfig, tree(drawn, out, towers, **sections), source="test")
    assert fit(config, process_from_environment("cpu"), StopRequest()).status == "finished"
    return out


def losses(out: Path) -> list[float]:
    return [record["loss"] for record in read_metrics(out) if record["kind"] == "step"]


@pytest.fixture(scope="module")
def trained(drawn: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process and whole batches. Not to be written to."""
    return run(drawn, tmp_path_factory.mktemp("trained") / "run", clip)


def invoke(*words: Any) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_folder_decides_shapes_vocabulary_and_resolution(clip: Path) -> None:
    config = VitConfig(kind="vit", image_weights=str(clip), text_weights=str(clip))

    assert (config.high, config.low, config.width) == ((16, 16), (8, 8), 20)
    assert (config.vocab_size, config.text_length) == (made.VOCAB, made.LENGTH)
    # A run's own configuration says it all: it is read where the folder is gone.
    document = config.model_dump(mode="json")
    gone = {**document, "image_weights": "gone", "text_weights": "gone"}
    assert VitConfig.model_validate(gone).towers == config.towers


def test_a_run_goes_on_with_the_same_bits_where_the_towers_are_gone(
    drawn: Path, clip: Path, trained: Path, tmp_path: Path
) -> None:
    again, folder = tmp_path / "again", tmp_path / "clip"
    shutil.copytree(clip, folder)
    run(drawn, again, folder)
    for checkpoint in checkpoints(again)[1:]:
        shutil.rmtree(checkpoint)
    shutil.rmtree(folder)

    config = yaml.safe_load((again / "config.yaml").read_text())
    fit(parse_config(TrainConfig, config, source="test"), process_from_environment("cpu"), StopRequest())

    one, other = (checkpoints(out)[-1] / "__0_0.distcp" for out in (trained, again))
    assert one.read_bytes() == other.read_bytes()


def test_micro_batches_take_the_steps_of_the_whole_batch(
    drawn: Path, clip: Path, trained: Path, tmp_path: Path
) -> None:
    run(drawn, tmp_path / "parts", clip, loop={"steps": 4, "batch": 4, "micro_batch": 1})

    assert losses(tmp_path / "parts") == pytest.approx(losses(trained), rel=2e-4)


@pytest.mark.long
def test_ranks_and_micro_batches_take_the_steps_of_one_process(
    drawn: Path, clip: Path, trained: Path, tmp_path: Path
) -> None:
    for strategy in ("ddp", "fsdp2"):
        loop = {"steps": 4, "batch": 4, "micro_batch": 1, "strategy": strategy}
        config = tree(drawn, tmp_path / strategy, clip, loop=loop)
        (tmp_path / f"{strategy}.yaml").write_text(yaml.safe_dump(config))
    files = [str(tmp_path / f"{strategy}.yaml") for strategy in ("ddp", "fsdp2")]
    run_on_ranks(2, "-m", "tests.train.several_fits", *files, log=tmp_path / "log")

    for strategy in ("ddp", "fsdp2"):
        assert losses(tmp_path / strategy) == pytest.approx(losses(trained), rel=2e-4)


def test_an_export_embeds_as_the_run_does(trained: Path, clip: Path, tmp_path: Path) -> None:
    run_ = load_checkpoint(trained)
    invoke("export", trained, tmp_path / "out")
    exported = train.load(tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert f"| initial weights of image | {clip} |" in card and "published" not in card

    film = torch.randint(0, 256, (20, 96, 160, 3), dtype=torch.uint8)
    words = ["a red square moves left", "blue"]
    assert torch.allclose(exported.embed_video(film), run_.embed_video(film), atol=1e-5)
    assert torch.allclose(exported.embed_text(words), run_.embed_text(words), atol=1e-5)


@torch.no_grad()
@pytest.mark.foreign
def test_what_was_trained_is_loaded_by_transformers(trained: Path, tmp_path: Path) -> None:
    import transformers

    invoke("export", trained, tmp_path / "out")
    invoke("convert", tmp_path / "out", tmp_path / "hf")
    ours = train.load(tmp_path / "out").model
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in (ours.config.image.mean, ours.config.image.std))
    picture = (pixels() / 255 - mean) / std

    hf = transformers.CLIPModel.from_pretrained(tmp_path / "hf").eval()
    found = hf(input_ids=token_ids(), pixel_values=picture)

    wanted, words = ours.embed_picture(pixels()), ours.embed_text(token_ids())
    assert torch.allclose(found.image_embeds, wanted, atol=1e-5)
    assert torch.allclose(found.text_embeds, words, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert (
        tokenizer(["blue red"])["input_ids"][0]
        == load_tokenizer(tmp_path / "out").encode(["blue red"], 4)[0][0].tolist()
    )


def test_a_run_is_scored_and_its_export_is_what_another_begins_with(trained: Path, clip: Path, tmp_path: Path) -> None:
    assert "R@1" in invoke("eval", trained)
    invoke("export", trained, tmp_path / "out")

    towers = {"image_weights": str(clip), "text_weights": str(clip), **FRAMES}
    config = VitConfig(kind="vit", **towers, model_weights=str(tmp_path / "out"), text_tune="frozen")
    found = build_vit(config, 0).state_dict()

    wanted = train.load(tmp_path / "out").model.state_dict()
    assert not [key for key in wanted if not torch.equal(wanted[key], found[key])]


def test_dinov2_with_the_words_of_clip(drawn: Path, clip: Path, tmp_path: Path) -> None:
    made.hf_dinov2(tmp_path / "dinov2")
    model = {"image_weights": str(tmp_path / "dinov2"), "image_tune": "frozen"}

    out = run(drawn, tmp_path / "run", clip, model=model, loop={"steps": 2, "batch": 4})

    invoke("export", out, tmp_path / "out")
    invoke("convert", tmp_path / "out", tmp_path / "hf")
    shape, frozen = read_towers(tmp_path / "hf")
    assert shape.text is None
    before = read_towers(tmp_path / "dinov2")[1]
    assert not [key for key in before if not torch.equal(before[key], frozen[key])]


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_weights": "/nowhere"}, r"image_weights: /nowhere: holds no config"),
        ({"high": (60, 64)}, r"high \(60, 64\) must be multiples of image.patch 8"),
        ({"text_length": 40}, "text_length 40 exceeds text.positions 24"),
        ({"n_frames": 4}, "n_frames 4 must be odd"),
        ({"image": {"heads": 3}}, r"image.width 64 is not a multiple"),
    ],
)
def test_settings_that_do_not_go_together(changes: dict[str, Any], said: str) -> None:
    document = {"data": {"manifest": "m"}, "loop": {"steps": 1}, "model": {"kind": "vit", "preset": "tiny", **changes}}
    with pytest.raises(ConfigError, match=said):
        parse_config(TrainConfig, document, source="test")


def test_words_need_a_folder_with_a_text_tower(tmp_path: Path) -> None:
    made.hf_dinov2(tmp_path)
    with pytest.raises(ValueError, match="holds no text tower"):
        VitConfig(kind="vit", text_weights=str(tmp_path))


def test_an_export_of_another_shape_is_named_key_by_key(trained: Path, tmp_path: Path) -> None:
    invoke("export", trained, tmp_path / "out")
    with pytest.raises(UserError, match=r"missing: .*; \d+ unknown: .*; \d+ of another shape"):
        build_vit(VitConfig(preset="tiny", image={"family": "siglip"}, model_weights=str(tmp_path / "out")), 0)
