"""What is compared waits for its video, and a driver that starts again reads no text a second time."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hdvila_testing.requests import count_requests
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.likeness.sentences import SaidAgain, Sentences
from tests.pipeline.engine.merges import merge_all
from tests.pipeline.likeness.test_sentences import commit, of_channels

TEXT = "a sentence that everybody says " * 3
CHANNELS = {f"v{i}": "a" for i in range(6)}
REPEATED = {f"v{i}.0": "v0.0" for i in range(1, 6)}


def a_store(folder: Path) -> Store:
    store = Store(str(folder))
    for i, video_id in enumerate(CHANNELS):
        own = [(video_id, n, f"what {video_id} says as number {n} of many " * 20) for n in range(1, 400)]
        commit(store, [(video_id, 0, TEXT), *own], i)
    merge_all(store)
    return store


def test_rows_wait_until_their_video_is_known(tmp_path: Path) -> None:
    one = Sentences(a_store(tmp_path))
    some = of_channels({"v1": "a", "v3": "a"})
    assert one.find_repeats(some) == {}
    assert one.find_repeats(of_channels(CHANNELS)) == REPEATED
    assert one.find_repeats(some) == {}, "what repeats among some videos does not depend on what else was taken up"


def test_a_driver_that_starts_again_reads_no_text_that_was_compared(tmp_path: Path, monkeypatch: Any) -> None:
    store, videos = a_store(tmp_path), of_channels(CHANNELS)
    with count_requests() as first:
        assert Sentences(store).find_repeats(videos) == REPEATED
    with count_requests() as again:
        assert Sentences(Store(store.url)).find_repeats(videos) == REPEATED
    assert again.n_bytes < first.n_bytes / 2
    monkeypatch.setattr(Follower, "new", lambda self: iter(()))
    assert Sentences(Store(store.url)).find_repeats(videos) == REPEATED


@pytest.mark.parametrize("what", ["state.json", "sentences.pairs.parquet", "taken.bin"])
def test_a_directory_without_what_is_kept_is_compared_again(tmp_path: Path, what: str) -> None:
    store, videos = a_store(tmp_path), of_channels(CHANNELS)
    Sentences(store).find_repeats(videos)
    for path in tmp_path.rglob(f"alike/sentences/**/{what}"):
        path.unlink()
    assert Sentences(store).find_repeats(videos) == REPEATED
    assert Sentences(store, rule=SaidAgain(min_sentence_words=7)).find_repeats(videos) == {
        clip_id: first for clip_id, first in REPEATED.items() if len(TEXT.split()) >= 7
    }


def test_a_video_without_any_sentence_that_counts_is_taken_up_too(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, [("v0", 0, "too short")], 0)
    one = Sentences(store)
    one.find_repeats(of_channels({"v0": "a"}))
    assert one.compared._index.are_added(pa.array(["v0", "v1"])).tolist() == [True, False]
