"""Files of ids beside segments, merged as a run merges them."""

from pipeline.engine.store.merge_ids import install_ids, plan_ids, write_ids
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store


def merge_ids(store: Store) -> int:
    """Merges files of ids until none is due."""
    n_merges = 0
    while job := plan_ids(read_head(store)[0]):
        assert install_ids(store, *write_ids(store, job))
        n_merges += 1
    return n_merges
