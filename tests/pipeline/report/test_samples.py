"""The samples that the page shows: harmless links, and no broken pictures."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

import hdvila_testing.shards as toys
from pipeline.report.samples import address_at, shrink, view_samples


def test_only_web_addresses_become_links() -> None:
    assert address_at("https://www.youtube.com/watch?v=a", 61_500) == "https://www.youtube.com/watch?v=a&t=61"
    assert address_at("javascript:alert(1)", 0) == address_at("file:///etc/passwd", 0) == ""


def test_a_broken_picture_is_left_out() -> None:
    assert shrink(b"not a jpeg") == b""


def test_a_sample_of_rubbish_is_left_out_in_a_line_of_a_terminals_length(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = toys.a_data_set(tmp_path, n_videos=1, n_clips=1)
    (tar,) = tmp_path.glob("shards/*/00000.tar")
    drawn = pa.table({"key": ["video-00000_00000"], "category_id": [1], "shard": [str(tar.relative_to(tmp_path))]})
    assert len(view_samples(store, drawn)) == 1
    caplog.clear()
    tar.write_bytes(random.Random(0).randbytes(tar.stat().st_size))

    assert view_samples(store, drawn) == []
    (said,) = caplog.messages
    assert "is left out of the report (UnicodeDecodeError(" in said and len(said) < 400
