"""Reads whole shards sequentially through webdataset: for stores that are fast at long reads and slow at short ones.

Unlike `data.order: planned`, it does not guarantee that each sample comes exactly once per epoch (ranks and workers
take whole shards, and a step ends where its batch is full), that global batches are the same at every world size and
number of workers, or that a resumed run continues where it stopped (it starts a new pass, seeded with that step).
Mixing weights by category are not applied. Augmentation is drawn from (seed, step, rank, worker).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from train.data.decode import SampleBroken
from train.data.loader import ClipDataset, Loaded, Lost, join, loaded_of, nothing
from train.data.plan import Stream, mix
from train.data.workers import Workers, ignore_stop_signals, started

BUFFER_SHARE = 5  # the shuffle buffer is this fraction (1/5) of a window's samples


class StreamingLoader:
    """The same interface as `PlannedLoader`, over `webdataset.WebDataset`."""

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
        """Yields this rank's share of steps first … stop-1: equally many clips each; the stream decides which ones."""
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
        for _ in range(first, stop):
            while len(held.keys) < size:
                held = join([held, next(clips)])
            share, held = held.cut(size)
            yield share


class _Clips(IterableDataset):  # type: ignore[type-arg]
    """Endless decoded samples: shards are shuffled in each pass and split over readers; a buffer shuffles samples."""

    def __init__(self, dataset: ClipDataset, stream: Stream, rank: int, world: int, first_step: int) -> None:
        self._dataset, self._rank, self._world, self._first = dataset, rank, world, first_step
        self._seed, self._window = stream.seed, stream.mixing.window_shards

    def __iter__(self) -> Iterator[Loaded]:
        worker = get_worker_info()
        reader, readers = (worker.id, worker.num_workers) if worker else (0, 1)
        reader, readers = self._rank * readers + reader, self._world * readers
        draw = np.random.default_rng((self._seed, self._first, self._rank, worker.id if worker else 0))
        epoch = 0
        while True:
            for sample in self._pass(epoch, reader, readers):
                yield self._decode(sample, draw)
            epoch += 1

    def _pass(self, epoch: int, reader: int, readers: int) -> Iterator[dict[str, Any]]:
        """The samples of a reader in one pass."""
        import webdataset  # optional: only `data.order: streaming` needs it

        index = self._dataset.index
        numbers = np.arange(len(index.shards))
        order = numbers[np.argsort(mix(self._seed, self._first, epoch, numbers.astype(np.uint64)))]
        urls = [index.manifest.resolve(index.shards[i].url) for i in order[reader::readers]]
        buffer = max(1, len(index) * self._window // (BUFFER_SHARE * len(index.shards)))
        seed = int(mix(self._seed, self._first, epoch, reader)) & 0xFFFFFFFF
        shards = webdataset.WebDataset(urls, shardshuffle=False, nodesplitter=None, workersplitter=None)
        yield from shards.shuffle(buffer, initial=buffer // 2 + 1, seed=seed)

    def _decode(self, sample: dict[str, Any], draw: np.random.Generator) -> Loaded:
        key = str(sample["__key__"]).rpartition("/")[2]
        try:
            seen = self._dataset.view.decode(sample, self._dataset.source, draw)
        except SampleBroken as error:
            empty = nothing(self._dataset.view)
            empty.lost.append(Lost(key, str(error)))
            return empty
        return loaded_of(seen, key, sample=-1, position=0)
