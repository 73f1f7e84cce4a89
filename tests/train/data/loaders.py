"""Small data sets and loaders of them."""

from __future__ import annotations

from hdvila_testing.drawn_set import Shape
from train.data.decode import ClipView
from train.data.loader import ClipDataset, PlannedLoader
from train.data.plan import Mixing, Stream
from train.data.workers import Workers

SMALL = Shape(width=160, height=96, n_frames=12, first_frame=1, n_stills=3)
TINY = Shape(width=160, height=96, n_frames=6, first_frame=1, n_stills=2)
VIEWS = ClipView(high=(64, 128), low=(16, 32), n_frames=3, n_segments=1, stride=2)


def a_loader(index, rank=0, world=1, workers=0, batch=4, run_dir=None, dataset=ClipDataset, kind=PlannedLoader):
    clips = dataset(index, VIEWS, "prepared", seed=1, n_workers=workers)
    stream = Stream(index, 1, Mixing(window_shards=2), batch)
    options = Workers(workers, chunk=2, prefetch=2)
    return kind(clips, stream, rank=rank, world=world, workers=options, run_dir=run_dir)
