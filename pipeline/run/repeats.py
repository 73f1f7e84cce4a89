"""What is compared with what: texts after the rounds that brought them, pictures batch after batch.

A plan reads what was found in table `matches`. It counts nothing of a round or batch that was not compared yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import RunConfig
from pipeline.engine.run.lines import Line
from pipeline.engine.store.store import Store
from pipeline.likeness import pictures, sentences, texts
from pipeline.likeness.comparing import compare_again_what_is_lost
from pipeline.likeness.index import Kind

if TYPE_CHECKING:
    from pipeline.run.batches import Batches
    from pipeline.run.session import Run


def text_kinds(config: RunConfig) -> list[Kind]:
    """What is compared of what a video says."""
    wanted = config.balance.text_duplicates
    kinds = [(texts.kind_of(), wanted.reuploads), (sentences.kind_of(), wanted.repeated_sentences)]
    return [kind for kind, is_wanted in kinds if is_wanted]


def take_up_what_is_lost(store: Store) -> None:
    """Lets everything be compared again of which the files in `alike/` are gone."""
    compare_again_what_is_lost(store, [texts.kind_of(), sentences.kind_of(), pictures.kind_of()])


def compare_texts(run: Run) -> Line:
    """Compares the texts that are new, round after round."""
    run.known.update()
    videos = run.known.rows.videos()
    for kind in text_kinds(run.config):
        yield from run.comparing(kind).batches(videos.append_column("order", videos.column("round")))


def compare_pictures(run: Run, batches: Batches) -> Line:
    """Compares the pictures of each batch once its media is made, and that of all before it."""
    comparing = run.comparing(pictures.kind_of())
    while not batches.is_over:
        n_made = batches.n_made
        if n_made == batches.n_compared:
            yield ()
            continue
        away = pa.array(sorted(batches.ids_from(n_made)), pa.string())
        waiting = comparing.waiting()
        ready = waiting.filter(pc.invert(pc.is_in(waiting, value_set=away)))
        videos = pa.table({"video_id": ready, "order": batches.numbers_of(ready)})
        yield from comparing.batches(videos)
        batches.n_compared = n_made
