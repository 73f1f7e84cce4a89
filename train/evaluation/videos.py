"""The videos of a benchmark: files of a folder, or samples of a data set, found by the names of its caption file.

In a data set, a video is named as `train.data.texts` says, and all splits are searched. A sample with an mp4 is decoded
from that, frame by frame as a file of the clip would be; one without, from its stills and proxy.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from manifests.errors import UserError
from manifests.shards import MANIFEST_NAME, read_manifest
from manifests.time_left import told
from train.data.decode import SampleBroken, decode_sample
from train.data.film import Film
from train.data.folder import films_in
from train.data.index import Index, load_index
from train.data.read import Reader, ShardUnreadable
from train.data.registry import Source
from train.data.texts import samples_named
from train.data.views import MEMBERS, Views
from train.data.workers import WORKER_ERRORS, dead_workers, ignore_stop_signals, started
from train.distributed import rank_in
from train.evaluation.encoder import Inputs, hybrid_views


class Videos(Protocol):
    """Videos by the names that a caption file gives them."""

    @property
    def names(self) -> list[str]:
        """The names of the videos that are there, sorted."""

    def input_of(self, name: str, views: Views, fps: float) -> Inputs:
        """The model's input for a video. UserError if it can't be read."""


class FolderVideos:
    """Files anywhere under a folder, named without their suffix."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        """Finds the files of these names, as training does. UserError without any video."""
        self._files = {name: path for name, path in films_in(folder).items() if name in set(names)}

    @property
    def names(self) -> list[str]:
        """The names that have a file."""
        return sorted(self._files)

    def input_of(self, name: str, views: Views, fps: float) -> Inputs:
        """The views of a file."""
        film = Film(self._files[name], fps)
        return hybrid_views(film.read, film.n_frames, views)


class ShardVideos:
    """Samples of a data set."""

    def __init__(
        self,
        manifest_at: str,
        names: Collection[str],
        cache: Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Finds the samples of these names; index files from a store are kept in `cache`."""
        manifest = read_manifest(manifest_at, **(options or {}))
        self._samples: dict[str, tuple[Index, int]] = {}
        for split in dict.fromkeys(shard.split for shard in manifest.shards):
            index = load_index(manifest, split, cache=cache, storage_options=options)
            self._samples |= {name: (index, number) for name, number in samples_named(index, set(names)).items()}
        self._readers = {id(index): Reader(index, options) for index, _ in self._samples.values()}

    @property
    def names(self) -> list[str]:
        """The names that have a sample."""
        return sorted(self._samples)

    def input_of(self, name: str, views: Views, fps: float) -> Inputs:
        """The views of a sample."""
        index, sample = self._samples[name]
        source: Source = "whole" if "mp4" in index.members(sample) else "prepared"
        try:
            members = self._readers[id(index)].read(sample, MEMBERS[source])
            clip = decode_sample(members, source, replace(views, fps=fps), None)
        except (ShardUnreadable, SampleBroken) as error:
            raise UserError(f"{index.manifest.root}: {index.key(sample)} {error}") from None
        pictures = (clip.img_middle, clip.img_other)
        middle, around = (None if array is None else torch.from_numpy(array) for array in pictures)
        return middle, around


def open_videos(
    source: str, names: Collection[str], cache: Path | None = None, options: Mapping[str, Any] | None = None
) -> Videos:
    """Opens the videos of these names: `source` is a data set if it is or contains a manifest, else a folder."""
    if source.endswith(".json") or "://" in source or (Path(source) / MANIFEST_NAME).is_file():
        return ShardVideos(source, names, cache, options)
    return FolderVideos(Path(source), names)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read for a name: its input, or why there is none."""

    name: str
    inputs: Inputs = (None, None)
    problem: str = ""


class _Reads(Dataset[Read]):
    """The inputs of videos by number, for the workers of a DataLoader."""

    def __init__(self, videos: Videos, names: Sequence[str], views: Views, fps: float) -> None:
        self._videos, self._names, self._views, self._fps = videos, names, views, fps

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, number: int) -> Read:
        name = self._names[number]
        try:
            return Read(name, self._videos.input_of(name, self._views, self._fps))
        except UserError as error:
            return Read(name, problem=str(error))


def read_videos(
    videos: Videos, names: Sequence[str], views: Views, fps: float, *, batch: int, n_workers: int
) -> Iterator[list[Read]]:
    """The inputs of these names in order, `batch` at a time, decoded by `n_workers` processes (0: by this one).

    UserError if a worker dies, as from a film that crashes the decoder.
    """
    reads = _Reads(videos, names, views, fps)
    loader = DataLoader(reads, batch, collate_fn=list, num_workers=n_workers, worker_init_fn=ignore_stop_signals)
    batches = started(loader)
    seen = 0
    try:
        for read in told(batches, len(names), "videos", each=batch) if rank_in() == 0 else batches:
            seen += len(read)
            yield read
    except WORKER_ERRORS as error:
        dead_workers(error, batches)
        near = ", ".join(names[seen : seen + batch * max(n_workers, 1)][:10])
        raise UserError(f"a process died while it read one of these videos: {near} ({error})") from None
