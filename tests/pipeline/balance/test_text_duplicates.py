"""What repeats by text: whole videos and single sentences, each where it is wanted."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.balance.text_duplicates import Texts
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.engine.store.store import Store
from tests.pipeline.balance import test_reuploads, test_sentences

WORDS = [f"word{i}" for i in range(60)]
LINE = "a line that this channel says in each video"


@pytest.mark.parametrize("reuploads", [True, False])
@pytest.mark.parametrize("sentences", [True, False])
def test_videos_and_sentences_that_repeat_are_named_where_wanted(
    tmp_path: Path, reuploads: bool, sentences: bool
) -> None:
    store = Store(str(tmp_path))
    transcripts, videos = test_reuploads.tables({f"v{i}": (WORDS, 60.0 + 9 * (i > 1)) for i in range(3)})
    test_reuploads.commit(store, transcripts, 0)
    test_sentences.commit(store, [(f"v{i}", 0, LINE) for i in range(3)], 0)
    config = TextDuplicatesConfig(reuploads=reuploads, repeated_sentences=sentences)
    found = Texts(config, store).find_repeats(videos.append_column("channel_id", pa.array(["c"] * 3)))
    of_videos, of_clips = {"v1": "v0"}, {"v1.0": "v0.0", "v2.0": "v0.0"}
    assert found == (of_videos if reuploads else {}) | (of_clips if sentences else {})
