"""The videos of a benchmark, by the names of its caption file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

import train
from hdvila_testing.drawn_set import Shape, a_sample, encode_mp4, scenes, write_manifest, write_shard
from manifests.errors import UserError
from tests.train.exports.test_inference import folder, pictures  # noqa: F401  (a fixture)
from train.data.film import Film
from train.data.folder import open_folder
from train.data.views import Views
from train.evaluation.encoder import hybrid_views
from train.evaluation.videos import FolderVideos, ShardVideos, open_videos, read_videos

VIEWS = Views((64, 64), (16, 16), 3, 1, 2)

SHAPE = Shape(width=320, height=180, n_frames=20, first_frame=0)
FILES = ("one", "two", "three")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same three videos as files and as a data set; \"three\" is two clips there, \"two\" damaged."""
    root = tmp_path_factory.mktemp("videos")
    samples = [a_sample(name, 0, scene, SHAPE) for name, scene in zip(FILES, scenes(3), strict=True)]
    for name, sample in zip(FILES, samples, strict=True):
        (root / f"{name}.mp4").write_bytes(sample.members["mp4"])
    more = a_sample("three", 7, scenes(4)[3], SHAPE)
    damaged = a_sample("broken", 0, scenes(1)[0], SHAPE)
    damaged.members["mp4"] = damaged.members["mp4"][:400]
    entries = [write_shard(root / "set/shards/test/00000.tar", [*samples, more, damaged], "test", root / "set")]
    return root, write_manifest(root / "set", entries)


def test_samples_give_the_embeddings_that_their_files_give(folder, both):  # noqa: F811
    files, manifest = both
    encoder = train.load(folder)
    shards = open_videos(str(manifest), {"one", "two", "three.0"})
    assert isinstance(shards, ShardVideos) and shards.names == ["one", "three.0", "two"]

    of_shards = encoder.embed_views([shards.input_of(name, encoder.views, 0) for name in shards.names])

    of_files = encoder.embed_video([files / f"{name}.mp4" for name in ("one", "three", "two")])
    assert torch.allclose(of_shards, of_files, atol=1e-6)


def test_a_video_goes_by_its_id_where_it_has_one_clip_and_by_its_clips_else(both):
    _, manifest = both

    videos = open_videos(str(manifest.parent), {"one", "one_00000", "three", "three.7", "four"})

    assert videos.names == ["one", "one_00000", "three.7"]
    assert isinstance(open_videos(str(manifest.parent.parent), {"one"}), FolderVideos)


def test_files_are_found_in_subfolders_whatever_their_suffix(tmp_path):
    for name in ("1004_Juno/1004_Juno_00.00.32.122-00.00.35.299.avi", "video1.MP4", "video2.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    videos = open_videos(str(tmp_path), {"video1", "1004_Juno_00.00.32.122-00.00.35.299", "video2"})

    assert videos.names == ["1004_Juno_00.00.32.122-00.00.35.299", "video1"]
    with pytest.raises(UserError, match="no such folder"):
        open_videos(str(tmp_path / "none"), {"video1"})


def test_training_and_scoring_take_the_same_file_of_a_clip_that_lies_beside_its_proxy(tmp_path):
    for suffix in (".m4v", ".mp4"):
        (tmp_path / f"one{suffix}").write_bytes(encode_mp4(list(pictures()), fps=10))
    (tmp_path / "one.mp4").write_bytes(encode_mp4(list(pictures())[::-1], fps=10))

    scored = open_videos(str(tmp_path), {"one"}).input_of("one", VIEWS, 0)[0]

    (trained_on,) = open_folder(tmp_path).films.values()
    film = Film(Path(trained_on))
    assert trained_on.endswith("one.mp4")
    assert torch.equal(scored, hybrid_views(film.read, film.n_frames, VIEWS)[0])


@pytest.mark.parametrize("n_workers", [0, 2])
def test_workers_read_the_same_in_the_same_order(both, n_workers):
    files, _ = both
    (files / "junk.mp4").write_bytes(b"no film")
    videos = open_videos(str(files), {"one", "two", "three", "junk"})

    read = list(read_videos(videos, videos.names, VIEWS, 0, batch=3, n_workers=n_workers))

    assert [[one.name for one in batch] for batch in read] == [["junk", "one", "three"], ["two"]]
    assert "junk.mp4: cannot be decoded" in read[0][0].problem
    film = videos.input_of("two", VIEWS, 0)[0]
    assert torch.equal(read[1][0].inputs[0], film)


class _Deadly:
    names = ("one",)

    def input_of(self, name, views, fps):
        os.kill(os.getpid(), signal.SIGSEGV)


def test_a_video_that_kills_its_reader_is_named():
    with pytest.raises(UserError, match="a process died while it read one of these videos: one"):
        list(read_videos(_Deadly(), ["one"], VIEWS, 0, batch=1, n_workers=1))
