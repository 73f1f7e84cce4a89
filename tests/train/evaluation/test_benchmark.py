"""Retrieval over files: hand-computed scores, what is missing, other containers, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import train
from hdvila_testing.drawn_set import encode_mp4
from manifests.errors import UserError
from tests.train.evaluation.test_videos import both  # noqa: F401  (a fixture)
from tests.train.exports.test_inference import folder, pictures  # noqa: F401  (a fixture)
from train.annotations.captions import Query
from train.cli import main
from train.data.film import Film
from train.distributed import Process
from train.evaluation.benchmark import (
    Benchmark,
    BenchmarkOptions,
    BenchmarkScores,
    dual_softmax,
    right_answers,
    run_benchmark,
    score_queries,
)
from train.evaluation.encoder import Encoder
from train.evaluation.scores import wilson_interval
from train.evaluation.videos import open_videos

NAMES = ["a", "b", "c"]
QUERIES = [Query("a", "dog"), Query("a", "hound"), Query("b", "dog"), Query("c", "cat")]
VIDEO = torch.eye(3)
TEXT = torch.tensor([[0.6, 0.8, 0.0], [0.9, 0.1, 0.3], [0.8, 0.6, 0.0], [0.0, 0.1, 0.9]])
"""Row i: similarities of query i to videos a, b and c."""


def test_by_id_only_a_querys_own_video_is_right():
    scores = score_queries(VIDEO, NAMES, TEXT, QUERIES, BenchmarkOptions("id"), temperature=0.05)

    assert scores.text_to_video.r1 == 0.5  # "hound" and "cat"; both dogs find the other's video first
    assert scores.text_to_video.mean_rank == pytest.approx((2 + 1 + 2 + 1) / 4)
    assert scores.video_to_text.r1 == pytest.approx(2 / 3)  # a finds "hound", c "cat"; b the dog that is a's
    assert (scores.n_clips, scores.n_captions) == (3, 3)
    assert scores.text_to_video.chance_r1 == pytest.approx(1 / 3)
    assert scores.video_to_text.chance_r1 == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)


def test_by_caption_videos_of_the_same_words_are_right_too():
    right = right_answers(NAMES, QUERIES, "caption")
    assert right.int().tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]]

    scores = score_queries(VIDEO, NAMES, TEXT, QUERIES, BenchmarkOptions("caption"), temperature=0.05)

    assert scores.text_to_video.r1 == scores.video_to_text.r1 == 1.0


def test_the_interval_counts_queries_of_one_video_for_as_much_as_they_differ():
    found = torch.tensor([True, False]).repeat(10)  # every second query, or every second video's queries
    queries = [Query(f"v{n // 2}", str(n)) for n in range(20)]
    names = [f"v{n}" for n in range(10)]

    def width(hits: torch.Tensor) -> float:
        own = torch.tensor([n // 2 for n in range(20)])
        text = torch.eye(10)[torch.where(hits, own, (own + 1) % 10)]
        recall = score_queries(torch.eye(10), names, text, queries, BenchmarkOptions(), temperature=0.05).text_to_video
        assert recall.r1 == 0.5
        return recall.r1_to - recall.r1_from

    low, high = wilson_interval(0.5, 20)
    assert width(found) == pytest.approx(high - low)
    low, high = wilson_interval(0.5, 10)
    assert width(found.repeat_interleave(2)[:20]) == pytest.approx(high - low)


def test_dual_softmax_prefers_a_videos_own_query():
    hub = torch.tensor([[0.50, 0.45], [0.90, 0.80]])  # video 0 draws both queries

    weighed = dual_softmax(hub, temperature=0.1)

    by_hand = 0.45 * np.exp(4.5) / (np.exp(4.5) + np.exp(8.0))
    assert float(weighed[0, 1]) == pytest.approx(by_hand, rel=1e-5)
    assert hub[0].argmax() == 0 and weighed[0].argmax() == 1


def scored(encoder: Encoder, queries: list[Query], source: Path, options: BenchmarkOptions) -> BenchmarkScores:
    videos = open_videos(str(source), {query.video for query in queries})
    return run_benchmark(encoder, Benchmark(queries, videos), options, Process(0, 1, torch.device("cpu")))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Three readable videos in two containers, and a broken one."""
    for number, name in enumerate(("one.mp4", "sub/two.mp4", "broken.mp4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        data = encode_mp4(list(np.roll(pictures(), 40 * number, axis=2)), fps=12)
        (tmp_path / name).write_bytes(data[:500] if name == "broken.mp4" else data)
    with av.open(str(tmp_path / "three.avi"), "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return tmp_path


def test_missing_and_unreadable_videos_are_listed_and_scores_say_over_how_many(folder, videos):  # noqa: F811
    names = ("one", "two", "three", "broken", "gone")
    queries = [Query(name, f"a red square {name}") for name in names]

    found = scored(train.load(folder), queries, videos, BenchmarkOptions(n_segments=1, batch=2))

    assert (found.retrieval.n_clips, found.n_queries, found.missing) == (3, 3, ("gone",))
    assert len(found.unreadable) == 1 and "broken.mp4: cannot be decoded" in found.unreadable[0]
    text = found.describe()
    assert "among 3 clips" in text and "gone" in text and "broken.mp4" in text
    with pytest.raises(UserError, match="none of the 1 videos"):
        scored(train.load(folder), queries[4:], videos, BenchmarkOptions())


def test_a_film_gives_the_same_pictures_from_any_container(videos):
    film, mp4 = Film(videos / "three.avi"), Film(videos / "one.mp4")

    assert film.n_frames == mp4.n_frames == 20
    for number in (0, 7, 19):
        pair = film.read([number])[number], mp4.read([number])[number]
        assert np.abs(pair[0].astype(int) - pair[1]).mean() < 4


def test_a_film_read_at_another_rate_counts_frames_at_that_rate(videos):
    film, slower = Film(videos / "one.mp4"), Film(videos / "one.mp4", fps=6)

    assert (film.n_frames, slower.n_frames) == (20, 10)
    assert np.array_equal(slower.read([4])[4], film.read([8])[8])
    assert Film(videos / "one.mp4", fps=30).n_frames == 20  # there are no more than the source's


def test_many_clips_and_folders_embed_as_each_alone(folder, videos):  # noqa: F811
    encoder = train.load(folder)
    (videos / "broken.mp4").unlink()
    paths = train.videos_in(videos)

    together = encoder.embed_video(videos, batch=2)

    assert [path.name for path in paths] == ["one.mp4", "two.mp4", "three.avi"]
    assert together.shape == (3, 32)
    for row, path in zip(together, paths, strict=True):
        assert torch.allclose(row, encoder.embed_video(path), atol=1e-5)
    assert torch.allclose(encoder.embed_video([paths[0], pictures()])[0], together[0], atol=1e-5)
    assert encoder.embed_video([]).shape == (0, 32)


def test_the_command_scores_an_export_on_a_caption_file(folder, videos, tmp_path, capsys):  # noqa: F811
    captions = tmp_path / "captions.jsonl"
    captions.write_text("".join(json.dumps({"clip_id": n, "text": f"square {n}"}) + "\n" for n in ("one", "two", "no")))
    arguments = ["eval", str(folder), "--videos", str(videos), "--captions", str(captions), "--json", "--dsl"]

    with pytest.raises(SystemExit) as ended:
        main(arguments)

    scores = json.loads(capsys.readouterr().out)
    assert ended.value.code in (0, None)
    assert (scores["n_clips"], scores["n_queries"], scores["n_missing"], scores["dsl"]) == (2, 2, 1, 1)
    with pytest.raises(SystemExit) as ended:
        main(arguments[:4])
    assert ended.value.code == 2 and "go together" in capsys.readouterr().err


def test_scores_over_shards_say_what_is_missing_and_what_is_damaged(folder, both):  # noqa: F811
    _, manifest = both
    queries = [Query(name, f"a square {name}") for name in ("one", "two", "three.7", "broken", "gone")]

    found = scored(train.load(folder), queries, manifest, BenchmarkOptions(n_segments=1, fps=6.0))

    assert (found.retrieval.n_clips, found.missing) == (3, ("gone",))
    assert len(found.unreadable) == 1 and "broken_00000 cannot be decoded" in found.unreadable[0]
    with pytest.raises(UserError, match="none of the 1 videos"):
        scored(train.load(folder), queries[4:], manifest, BenchmarkOptions())
