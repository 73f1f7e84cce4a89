"""Videos of a benchmark out of shards: the same as those of files, by the names that captions give them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import train
from hdvila_testing.drawn_set import Shape, a_sample, scenes, write_manifest, write_shard
from manifests.errors import UserError
from tests.train.exports.test_inference import folder  # noqa: F401  (a fixture)
from train.benchmarks.benchmark import BenchmarkOptions, run_benchmark
from train.benchmarks.benchmark_videos import FolderVideos, ShardVideos, open_videos
from train.benchmarks.caption_files import Query

SHAPE = Shape(width=320, height=180, n_frames=20, first_frame=0)
NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same three videos as files and as a data set; \"three\" is two clips there, \"two\" damaged."""
    root = tmp_path_factory.mktemp("videos")
    samples = [a_sample(name, 0, scene, SHAPE) for name, scene in zip(NAMES, scenes(3), strict=True)]
    for name, sample in zip(NAMES, samples, strict=True):
        (root / f"{name}.mp4").write_bytes(sample.members["mp4"])
    more = a_sample("three", 7, scenes(4)[3], SHAPE)
    damaged = a_sample("broken", 0, scenes(1)[0], SHAPE)
    damaged.members["mp4"] = damaged.members["mp4"][:400]
    entries = [write_shard(root / "set/shards/test/00000.tar", [*samples, more, damaged], "test", root / "set")]
    return root, write_manifest(root / "set", entries)


def test_samples_give_the_embeddings_that_their_files_give(folder, both):  # noqa: F811
    files, manifest = both
    encoder = train.load(folder)
    names = ["one", "two", "three.0"]
    shards = open_videos(str(manifest), names)
    assert isinstance(shards, ShardVideos) and shards.missing(names) == []

    of_shards = encoder.embed_views([shards.input_of(encoder, name) for name in names])

    of_files = encoder.embed_video([files / f"{name}.mp4" for name in NAMES])
    assert torch.allclose(of_shards, of_files, atol=1e-6)


def test_a_video_goes_by_its_id_where_it_has_one_clip_and_by_its_clips_else(both):
    _, manifest = both

    videos = open_videos(str(manifest.parent), ["one", "one_00000", "three", "three.7", "four"])

    assert videos.missing(["one", "one_00000", "three", "three.7", "four"]) == ["three", "four"]
    assert isinstance(open_videos(str(manifest.parent.parent), ["one"]), FolderVideos)


def test_scores_over_shards_say_what_is_missing_and_what_is_damaged(folder, both):  # noqa: F811
    _, manifest = both
    queries = [Query(name, f"a square {name}") for name in ("one", "two", "three.7", "broken", "gone")]

    found = run_benchmark(train.load(folder), queries, manifest, BenchmarkOptions(n_segments=1, fps=6.0))

    assert (found.retrieval.n_clips, found.missing) == (3, ("gone",))
    assert len(found.unreadable) == 1 and "broken_00000 cannot be decoded" in found.unreadable[0]
    with pytest.raises(UserError, match="none of the 1 videos"):
        run_benchmark(train.load(folder), queries[4:], manifest, BenchmarkOptions())
