"""A benchmark's videos: files in a folder, or samples in a data set's shards.

In shards, a video is named by its sample's key (`<video_id>_00000`), by its clip's id (`<video_id>.0`), or by its
video's id if that video has only one sample. All splits are searched. A sample with an mp4 is decoded from that, frame
by frame as a file of the clip would be; one without, from its stills and proxy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from manifests.errors import UserError
from manifests.sample import clip_id
from manifests.shards import MANIFEST_NAME, read_manifest
from train.benchmarks.caption_files import find_videos
from train.data.arrange import MEMBERS
from train.data.decode import SampleBroken, decode_sample
from train.data.index import Index, load_index
from train.data.read import Reader, ShardUnreadable
from train.data.registry import Source
from train.exports.inference import Encoder, Inputs

Sample = tuple[Index, int]


class Videos(Protocol):
    """Finds videos by the names that caption files give them."""

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names for which there is no video."""

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The model's input for a video. UserError if it can't be read."""


class FolderVideos:
    """Files anywhere under a folder, named without their suffix."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._files, self._missing = find_videos(folder, names)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names without a file."""
        return [name for name in names if name not in self._files]

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The views of a file."""
        return encoder.views_of_clip(self._files[name])


class ShardVideos:
    """Samples of a data set, named as the module's docstring says."""

    def __init__(self, manifest_at: str, names: Iterable[str]) -> None:
        self._samples = _find_samples(manifest_at, set(names))
        self._readers = {id(index): Reader(index) for index, _ in self._samples.values()}

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names without a sample."""
        return [name for name in names if name not in self._samples]

    def input_of(self, encoder: Encoder, name: str) -> Inputs:
        """The views of a sample."""
        index, sample = self._samples[name]
        source: Source = "whole" if "mp4" in index.members(sample) else "prepared"
        views = replace(encoder.views, fps=encoder.fps)
        try:
            members = self._readers[id(index)].read(sample, MEMBERS[source])
            clip = decode_sample(members, source, views, None)
        except (ShardUnreadable, SampleBroken) as error:
            raise UserError(f"{index.manifest.root}: {index.key(sample)} {error}") from None
        pictures = (clip.img_middle, clip.img_other)
        middle, other = (None if array is None else torch.from_numpy(array) for array in pictures)
        return middle, other


def open_videos(source: str, names: Iterable[str]) -> Videos:
    """Opens `source` as a data set if it is or contains a manifest, else as a folder of files."""
    wanted = list(names)
    if source.endswith(".json") or "://" in source or (Path(source) / MANIFEST_NAME).is_file():
        return ShardVideos(source, wanted)
    return FolderVideos(Path(source), wanted)


def _find_samples(manifest_at: str, wanted: set[str]) -> dict[str, Sample]:
    """{name: sample} for the names that were found."""
    manifest = read_manifest(manifest_at)
    found: dict[str, Sample] = {}
    of_video: dict[str, list[Sample]] = {}
    for split in dict.fromkeys(shard.split for shard in manifest.shards):
        index = load_index(manifest, split)
        for number, key in enumerate(index.keys.to_pylist()):
            video, _, n = key.rpartition("_")
            of_video.setdefault(video, []).append((index, number))
            for name in (key, clip_id(video, int(n))):
                if name in wanted:
                    found[name] = (index, number)
    alone = {video: samples[0] for video, samples in of_video.items() if video in wanted and len(samples) == 1}
    return {**alone, **found}
