"""`train.load(folder)`: what cannot be loaded is named."""

from pathlib import Path

import numpy as np
import pytest

import train
from hdvila_testing.drawn_set import Scene
from manifests.errors import UserError
from train.exports.export import export
from train.exports.export_folder import Origin
from train.feed.tokenizer import tokenizer_from_captions
from train.models import ModelConfig, build_model

N_FRAMES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build_model(ModelConfig(preset="tiny", width=32, n_heads=2, vocab_size=64, trunk_width=8), seed=0)
    tokenizer = tokenizer_from_captions([Scene().describe(), "a blue bar moves left"], vocab_size=64, seed=0)
    out = tmp_path_factory.mktemp("export") / "out"
    export(model, tokenizer, out, Origin("a test", stride=2))
    return out


def pictures(width: int = 320, height: int = 180) -> np.ndarray:
    return np.stack([Scene().draw(number, width, height) for number in range(N_FRAMES)])


def test_without_a_tokenizer_videos_still_embed_and_texts_say_what_is_missing(folder: Path, tmp_path: Path) -> None:
    export(train.load(folder).model, None, tmp_path / "out", Origin("a test"))
    bare = train.load(tmp_path / "out")
    assert bare.embed_video(pictures()).shape == (32,)
    with pytest.raises(UserError, match="no tokenizer"):
        bare.embed_text(["a"])


def test_a_folder_that_is_no_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an exported model"):
        train.load(tmp_path)
    (tmp_path / "config.json").write_text('{"hdvila_format": 99}')
    with pytest.raises(UserError, match="format 99"):
        train.load(tmp_path)


def test_weights_of_another_architecture_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"width": 32', '"width": 64'))
    with pytest.raises(UserError, match="don't belong together"):
        train.load(tmp_path)
