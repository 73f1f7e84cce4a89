"""Reads whole shards sequentially through webdataset: for stores that are fast at long reads and slow at short ones.

Unlike `data.order: planned`, it does not guarantee that each sample comes exactly once per epoch (ranks and workers
take whole shards, and a step ends where its batch is full), that global batches are the same at every world size and
number of workers, or that a resumed run continues where it stopped (it starts a new pass, seeded with that step).
Mixing weights by category are not applied. Augmentation is drawn from (seed, step, rank, worker).

webdataset groups and shuffles. What it would do with a tar is not left to it: it opens no bucket, unpacks whatever is
compressed, and makes sparse members as large as their headers say. A shard that is not a plain tar is unreadable.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from manifests.errors import UserError, storage_errors
from manifests.shards import ShardEntry
from manifests.tars import plain_members
from train.data.decode import SampleBroken
from train.data.loader import N_SPARES, ClipDataset, Loaded, Lost, join, loaded_of, nothing, unusable
from train.data.plan import Stream, mix
from train.data.read import MAX_MEMBER_BYTES
from train.data.workers import Workers, ignore_stop_signals, started

_NAME = re.compile(r"(?:.*/)?[^./]+\.[^/]+")
BUFFER_SHARE = 5  # the shuffle buffer is this fraction (1/5) of a window's samples


class StreamingLoader:
    """The same interface as `PlannedLoader`, over a pipeline of webdataset's."""

    def __init__(
        self,
        dataset: ClipDataset,
        stream: Stream,
        *,
        rank: int = 0,
        world: int = 1,
        workers: Workers | None = None,
        run_dir: Path | None = None,
    ) -> None:
        self._dataset, self._stream, self._rank, self._world = dataset, stream, rank, world
        self._workers = workers or Workers()

    def steps(self, first: int, stop: int) -> Iterator[Loaded]:
        """Yields this rank's share of steps first … stop-1: equally many clips each; the stream decides which ones.

        UserError if as good as nothing can be used.
        """
        size = self._stream.batch // self._world
        source = _Clips(self._dataset, self._stream, self._rank, self._world, first)
        w = self._workers
        clips = started(
            DataLoader(
                source,
                batch_size=w.chunk,
                collate_fn=join,
                num_workers=w.count,
                prefetch_factor=w.chunks_ahead(size) if w.count else None,
                generator=torch.Generator(),
                worker_init_fn=ignore_stop_signals,
            )
        )
        held = nothing(self._dataset.view)
        most_lost = (1 + N_SPARES) * size + len(self._dataset.index.shards)
        for step in range(first, stop):
            while len(held.keys) < size:
                held = join([held, next(clips)])
                if len(held.lost) > most_lost:
                    raise UserError(f"step {step}: {unusable(held.lost, len(held.keys))}")
            share, held = held.cut(size)
            yield share


class _Clips(IterableDataset):  # type: ignore[type-arg]
    """Endless decoded samples: shards are shuffled in each pass and split over readers; a buffer shuffles samples."""

    def __init__(self, dataset: ClipDataset, stream: Stream, rank: int, world: int, first_step: int) -> None:
        self._dataset, self._rank, self._world, self._first = dataset, rank, world, first_step
        self._seed, self._window = stream.seed, stream.mixing.window_shards
        self._unreadable: list[Lost] = []
        """Shards that were met since the last sample."""

    def __iter__(self) -> Iterator[Loaded]:
        worker = get_worker_info()
        reader, readers = (worker.id, worker.num_workers) if worker else (0, 1)
        reader, readers = self._rank * readers + reader, self._world * readers
        draw = np.random.default_rng((self._seed, self._first, self._rank, worker.id if worker else 0))
        epoch = 0
        while True:
            for sample in self._pass(epoch, reader, readers):
                yield from self._met()
                yield self._decode(sample, draw)
            yield from self._met()
            epoch += 1

    def _met(self) -> Iterator[Loaded]:
        met, self._unreadable = self._unreadable, []
        if met:
            yield replace(nothing(self._dataset.view), lost=met)

    def _pass(self, epoch: int, reader: int, readers: int) -> Iterator[dict[str, Any]]:
        """The samples of a reader in one pass."""
        import webdataset  # optional: only `data.order: streaming` needs it

        index = self._dataset.index
        numbers = np.arange(len(index.shards))
        order = numbers[np.argsort(mix(self._seed, self._first, epoch, numbers.astype(np.uint64)))]
        shards = [index.shards[i] for i in order[reader::readers]]
        buffer = max(1, len(index) * self._window // (BUFFER_SHARE * len(index.shards)))
        seed = int(mix(self._seed, self._first, epoch, reader)) & 0xFFFFFFFF
        yield from webdataset.DataPipeline(
            partial(self._members, shards),
            partial(webdataset.tariterators.group_by_keys, handler=webdataset.ignore_and_continue),
            webdataset.shuffle(buffer, initial=buffer // 2 + 1, seed=seed),
        )

    def _members(self, shards: Sequence[ShardEntry]) -> Iterator[dict[str, Any]]:
        """The files of these shards as webdataset has them, and an empty one at the end of each shard."""
        for shard in shards:
            url = self._dataset.index.manifest.resolve(shard.url)
            n = 0
            try:
                with fsspec.open(url, "rb", **self._dataset.storage_options) as file:
                    for info in plain_members(file):
                        if not _NAME.fullmatch(info.name) or info.size > MAX_MEMBER_BYTES:
                            raise UserError(f"{info.name[:100]!r} of {info.size} bytes is no member of a sample")
                        file.seek(info.offset_data)
                        yield {"fname": info.name, "data": file.read(info.size), "__url__": url}
                        n += 1
                if not n and shard.nsamples:
                    raise UserError("holds no samples")
            except _unreadable() as error:
                self._unreadable.append(Lost(url.rpartition("/")[2], f"{url}: {error}", shard=url))
            yield {}

    def _decode(self, sample: dict[str, Any], draw: np.random.Generator) -> Loaded:
        key = str(sample["__key__"]).rpartition("/")[2]
        try:
            seen = self._dataset.view.decode(sample, self._dataset.source, draw)
        except SampleBroken as error:
            empty = nothing(self._dataset.view)
            empty.lost.append(Lost(key, str(error)))
            return empty
        return loaded_of(seen, key, sample=-1, position=0)


def _unreadable() -> tuple[type[BaseException], ...]:
    """What a shard that cannot be read, or is no tar of samples, raises."""
    return (UserError, *storage_errors())
