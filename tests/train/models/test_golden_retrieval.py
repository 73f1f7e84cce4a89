"""Films and captions, scored by the published model: our road from files against HD-VILA's own, written out.

The published way stands here once more in full: frames by decord, the crop as it is, a quarter of it by OpenCV's cubic,
the network as plain functions (`plain_hdvila.py`, first held against the published numbers), products of normalised
features, places by sorting. `golden.py` says where numbers and weights come from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hdvila_testing.drawn_set import Scene, encode_mp4
from tests.train.models.golden import golden, golden_inputs, golden_model
from tests.train.models.plain_hdvila import plain_embed
from train.benchmarks.benchmark import BenchmarkOptions, run_benchmark, score_queries
from train.benchmarks.caption_files import read_queries
from train.evaluation.evaluate import Retrieval
from train.exports.inference import Encoder
from train.feed.tokenizer import tokenizer_from_captions
from train.models import Batch
from train.models.hd_vila import HDVila

FPS, N_FRAMES, STRIDE = 12, 14, 2
CENTRE = 7
"""The middle of the places that a segment of seven frames, two apart, has in 14: 6 and 7."""
SCENES = {"one": Scene("red", "square", "right"), "two": Scene("blue", "circle", "left", 160)}
TOLERANCE = 2e-6
"""Of similarities, as for the published numbers. Two decoders differ by a grey level here and there: 3e-7 in all."""


@pytest.fixture(scope="module")
def model() -> HDVila:
    return golden_model(1)


def by_the_published_way(model: HDVila, middle: Tensor, other: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Similarities, texts in rows."""
    with torch.no_grad():
        video, text = plain_embed(model, Batch(middle, other, ids, mask))
    return text @ video.T


def published_views(film: Path) -> tuple[np.ndarray, np.ndarray]:
    """(the centre [3, 640, 1024], the others [6, 3, 160, 256]) of a 720p film's middle."""
    cv2, decord = pytest.importorskip("cv2"), pytest.importorskip("decord")
    numbers = [CENTRE + STRIDE * k for k in range(-3, 4)]
    frames = decord.VideoReader(str(film)).get_batch(numbers).asnumpy()[:, 40:680, 128:1152]
    low = [cv2.resize(f, (256, 160), interpolation=cv2.INTER_CUBIC) for i, f in enumerate(frames) if i != 3]
    return frames[3].transpose(2, 0, 1), np.stack(low).transpose(0, 3, 1, 2)


def places(similarity: Tensor) -> list[int]:
    """Of each query's own answer (the diagonal), from 1, the most similar first."""
    order = similarity.numpy().argsort(axis=1)[:, ::-1].tolist()
    return [row.index(n) + 1 for n, row in enumerate(order)]


def test_the_way_written_out_here_gives_the_published_similarities(model: HDVila) -> None:
    middle, other, ids, mask = golden_inputs(1, "small")
    assert middle is not None and other is not None
    wanted = torch.tensor(golden(1)["cases"]["small"]["fp32"]["similarity_text_rows_video_cols"])

    assert torch.allclose(by_the_published_way(model, middle, other, ids, mask), wanted, atol=2e-6, rtol=0)


@pytest.mark.slow
def test_films_and_a_caption_file_score_as_in_the_published_way(
    model: HDVila, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[Tensor] = []

    def watched(video: Tensor, names: list[str], text: Tensor, *rest: Any, **more: Any) -> Retrieval:
        scored.append(text @ video.T)
        return score_queries(video, names, text, *rest, **more)

    monkeypatch.setattr("train.benchmarks.benchmark.score_queries", watched)
    captions = tmp_path / "captions.jsonl"
    lines = [json.dumps({"clip_id": name, "text": scene.describe()}) for name, scene in SCENES.items()]
    captions.write_text("\n".join(lines))
    for name, scene in SCENES.items():
        pictures = [scene.draw(number, 1280, 720) for number in range(N_FRAMES)]
        (tmp_path / f"{name}.mp4").write_bytes(encode_mp4(pictures, FPS))
    queries = read_queries(captions)
    texts = [query.text for query in queries]
    tokenizer = tokenizer_from_captions(texts, vocab_size=64, seed=0)
    encoder = Encoder(model, tokenizer, stride=STRIDE)

    found = run_benchmark(encoder, queries, tmp_path, BenchmarkOptions(n_segments=1)).retrieval

    views = [published_views(tmp_path / f"{query.video}.mp4") for query in queries]
    middle, other = (torch.from_numpy(np.stack([pair[k] for pair in views]))[:, None] for k in (0, 1))
    published = by_the_published_way(model, middle, other, *tokenizer.encode(texts, model.config.text_length))
    assert torch.allclose(scored[0], published, atol=TOLERANCE, rtol=0)
    wanted = places(published), places(published.T)
    assert (found.text_to_video.mean_rank, found.video_to_text.mean_rank) == tuple(np.mean(w) for w in wanted)
    assert found.text_to_video.r1 == np.mean([place == 1 for place in wanted[0]])
