"""A small data set, a copy of it to damage, and the faults that verify finds."""

from pathlib import Path

from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store

TAR, ROWS, STATS = "shards/train/00000.tar", "shards/train/00000.parquet", "shards/train/00000_stats.json"


def faults(folder: Path, decode: int = -1) -> list[str]:
    return [str(fault) for fault in verify(Store(str(folder)), decode=decode)]
