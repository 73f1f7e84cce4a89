"""Videos and sentences in, embeddings out; what can't be used is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

import train
from hdvila_testing.drawn_set import Shape, a_sample, encode_mp4
from manifests.errors import UserError
from tests.train.exports.test_inference import folder, pictures  # noqa: F401  (a fixture)
from train.data.decode import decode_sample
from train.data.video import open_clip
from train.data.views import Views
from train.evaluation.encoder import Encoder, hybrid_views


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:  # noqa: F811
    return train.load(folder)


def test_a_file_embeds_as_its_frames_do(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(encode_mp4(list(pictures()), fps=12))
    from_file = encoder.embed_video(tmp_path / "clip.mp4")
    assert from_file.shape == (32,)
    assert float(from_file.norm()) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(from_file, encoder.embed_video(str(tmp_path / "clip.mp4")))
    # Near-lossless coding moves pixels by a few steps.
    assert float(from_file @ encoder.embed_video(pictures())) > 0.99


def test_what_it_sees_is_what_evaluation_saw() -> None:
    shape = Shape(width=1280, height=720, n_frames=16, first_frame=0, prepared=False)
    members = a_sample(shape=shape).members
    views = Views((192, 320), (48, 80), 7, 2, 2)
    seen = decode_sample(members, "whole", views, draw=None)
    clip = open_clip(members["mp4"])
    middle, other = hybrid_views(clip.read, clip.n_frames, views)
    assert np.array_equal(middle.numpy(), seen.img_middle)
    assert np.array_equal(other.numpy(), seen.img_other)


def test_a_picture_upright_or_a_single_frame_is_no_problem(encoder: Encoder) -> None:
    assert bool(torch.isfinite(encoder.embed_video(pictures(width=180, height=320))).all())
    assert bool(torch.isfinite(encoder.embed_video(pictures()[:1])).all())


def test_sentences_come_back_in_order_and_do_not_depend_on_each_other(encoder: Encoder) -> None:
    texts = ["a red square moves right", "a blue bar", ""]
    together = encoder.embed_text(texts)
    assert together.shape == (3, 32)
    for row, text in zip(together, texts, strict=True):
        assert torch.allclose(encoder.embed_text([text])[0], row, atol=1e-6)


def test_what_is_no_video_is_named(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\x00" * 100)
    with pytest.raises(UserError, match=r"clip\.mp4: cannot be decoded"):
        encoder.embed_video(tmp_path / "clip.mp4")
    with pytest.raises(UserError, match="no such video file"):
        encoder.embed_video(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    "frames", [np.zeros((5, 8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_frames_that_are_no_pictures_are_refused(encoder: Encoder, frames: np.ndarray) -> None:
    with pytest.raises(UserError, match="uint8 array"):
        encoder.embed_video(frames)


def test_a_single_sentence_is_asked_for_as_a_list(encoder: Encoder) -> None:
    with pytest.raises(UserError, match=r"embed_text\(\['a red square'\]\)"):
        encoder.embed_text("a red square")
